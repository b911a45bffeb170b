"""Where a given depth map came from: an instrument, or a network if rilievo's record says so.

The ranges of measurements follow from it. Therefore a prediction that was saved and is given as a
depth map keeps its origin: a network's ranges, the stated error of an instrument, or the gaps of a
sensor.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Size
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.saved_origins import UNKNOWN_NETWORK, SavedOrigin, read_saved_arrays
from rilievo.records.instruments import DepthSource, Instrument, make_instrument, parse_depth_error
from rilievo.records.prediction_record import MadeBy

NETWORK_WORD = "network"
"""Word of ``depth_error`` for depth that a network predicted, which then has a network's ranges."""
_SAVED_SUFFIXES = (".depth16.png", ".depth.npy", ".depth.tiff", ".depth.exr", ".depth.pfm")
"""Suffixes of the files in which rilievo saves depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOrigin:
    """Where a given depth map came from.

    Attributes:
        instrument: Instrument and the error of its depth; None if a network predicted the depth, so
            that measurements have the ranges of a network.
        saved: What rilievo's record of the map states; None if there is no record.
        is_error_stated: Whether the user states the error in this call.
    """

    instrument: Instrument | None
    saved: SavedOrigin | None
    is_error_stated: bool

    def notes(self, name: str, *, is_in_place: bool) -> tuple[str, ...]:
        """Tell the user where the depth in the file ``name`` came from.

        ``is_in_place`` says that the map has the pixels of the photograph.
        """
        saved, instrument = self.saved, self.instrument
        if saved is None:
            return _notes_without_record(instrument, name)
        if saved.is_changed:
            return self.warnings

        sentence = _describe_origin(saved, instrument)
        if instrument is not None and not self.is_error_stated:
            error_source = "assumed" if instrument.is_assumed else "stated"
            sentence += (
                f"; 8 in 10 depths are within {instrument.error} of the truth, as {error_source} "
                "when the depth was saved"
            )
        note = Note(f"{sentence} ({saved.record_location})")
        if instrument is None or instrument.source is not DepthSource.SENSOR:
            return (note,)
        return (note, *_notes_on_sensor_pixels(saved, is_in_place=is_in_place))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Reasons why the record may not be true of the file; empty if there are none."""
        saved = self.saved
        if saved is None:
            return ()
        if saved.is_changed:
            return (
                "the depth file has changed since rilievo saved it "
                f"({saved.record_location}), so only the kind, the unit and the camera of "
                f"that record are used, and {self._error_clause}",
            )
        if saved.contradiction:
            return (
                f"{saved.contradiction}, next to the depth file, states a different camera or "
                f"origin than the record that rilievo uses ({saved.record_location})",
            )
        return ()

    @property
    def _error_clause(self) -> str:
        """Where the error of a changed file comes from, as a clause of a sentence."""
        if self.instrument is None:
            return "measurements have a network's error ranges"
        if self.is_error_stated:
            return "rilievo uses the error that you state"
        return f"8 in 10 depths are assumed to be within {self.instrument.error}"

    def instrument_with_warnings(self, warnings: tuple[str, ...]) -> Instrument | None:
        """The instrument, with warnings that concern all its depth; None if a network predicted it.

        The warnings about the record come first.
        """
        doubts = (*self.warnings, *warnings)
        if self.instrument is None or not doubts:
            return self.instrument
        return replace(self.instrument, doubts=doubts)

    def merge_made_by(self, map_made_by: MadeBy) -> MadeBy:
        """Merge the model and settings in the record with those of a prediction from the map.

        ``map_made_by`` names the map as the model. If a network predicted the depth, its name and
        licence stay, and the map is named in the settings.
        """
        instrument = self.instrument
        # A depth map that no network predicted has nothing to merge.
        if instrument is not None and instrument.source is DepthSource.DEPTH_MAP:
            return map_made_by
        map_settings = {**map_made_by.settings, "depth": map_made_by.model}
        network = None if self.saved is None else self.saved.made_by
        if network is None:
            return replace(map_made_by, model=UNKNOWN_NETWORK, settings=map_settings)
        merged_settings = {**network.settings, **map_settings}
        return replace(network, settings=merged_settings, version=map_made_by.version)

    def recorded_fields(self, shape: Size, camera: Camera, *, is_in_place: bool) -> dict[str, Any]:
        """Fields of the saved prediction that are still true and affect the ranges of measurements.

        Returns their values by the names of the fields. ``shape`` and ``camera`` are those of the
        photograph. If the map has other pixels, ``is_in_place`` is False, and known points and
        arrays are left out.
        """
        saved = self.saved
        if saved is None or saved.is_changed:
            return {}
        if self.instrument is not None and self.instrument.source is not DepthSource.SENSOR:
            return {}

        is_same_camera = saved.camera is not None and camera.lens == saved.camera.lens
        if not (is_in_place and is_same_camera):
            saved = saved.without_known_sizes()
        recorded: dict[str, Any] = {"calibration": saved.calibration, "anchoring": saved.anchoring}
        if saved.archive is None or not is_in_place:
            return recorded

        dtypes = {"measured": np.bool_, "confidence": np.float32, "sky": np.bool_}
        arrays = read_saved_arrays(saved.archive)
        for name, dtype in dtypes.items():
            array = arrays.get(name)
            if array is not None and array.shape == shape and array.dtype == dtype:
                recorded[name] = array
        return recorded


def find_map_origin(saved: SavedOrigin | None, stated_error: object) -> MapOrigin:
    """Find out where a depth map came from.

    Args:
        saved: What rilievo's record of the map states; None if there is no record.
        stated_error: Error that the user states, which replaces the one in the record, or the word
            "network" for depth that a network predicted; None if the user states nothing.

    Raises:
        OptionError: If the stated error cannot be read.
    """
    if isinstance(stated_error, str) and stated_error.strip() == NETWORK_WORD:
        return MapOrigin(instrument=None, saved=saved, is_error_stated=False)
    return MapOrigin(
        instrument=_find_instrument(saved, stated_error),
        saved=saved,
        is_error_stated=stated_error is not None,
    )


def _find_instrument(saved: SavedOrigin | None, stated_error: object) -> Instrument | None:
    """Find the instrument of a map by its record and the stated error; None for a network's depth.

    A network's prediction counts as an instrument if the user states its error.
    """
    if saved is None:
        return make_instrument(DepthSource.DEPTH_MAP, stated_error)
    if saved.instrument is None:
        if stated_error is None:
            return None
        return make_instrument(DepthSource.NETWORK, stated_error)
    if saved.is_changed:
        return make_instrument(DepthSource.DEPTH_MAP, stated_error)
    if stated_error is None:
        return saved.instrument
    return replace(saved.instrument, error=parse_depth_error(stated_error), is_assumed=False)


def _describe_origin(saved: SavedOrigin, instrument: Instrument | None) -> str:
    """Say in a clause where saved depth came from."""
    if instrument is None:
        if saved.made_by is None:
            return (
                "this depth may have been predicted by a network, so measurements have a network's "
                "error ranges"
            )
        return (
            f"this depth was predicted by {saved.network}, so measurements have a network's error "
            "ranges"
        )
    match instrument.source:
        case DepthSource.NETWORK:
            return (
                f"this depth was predicted by {saved.network}, and rilievo uses the error that you "
                "state"
            )
        case DepthSource.SENSOR:
            return f"this depth was measured by a sensor, and {saved.network} filled its gaps"
        case DepthSource.DEPTH_MAP:
            return "this depth comes from a depth map that was given to rilievo"


def _notes_on_sensor_pixels(saved: SavedOrigin, *, is_in_place: bool) -> tuple[str, ...]:
    """Note if it is unknown which pixels the sensor measured and which the network filled."""
    if saved.archive is None:
        return (
            "the npz file of this depth, which records the pixels that the sensor measured, is "
            "missing, so all pixels count as filled by the network",
        )
    if not is_in_place:
        return (
            "the photograph and the sensor's map do not have the same pixels, so all "
            "pixels count as filled by the network",
        )
    return ()


def _notes_without_record(instrument: Instrument | None, name: str) -> tuple[str, ...]:
    """Note on a file without a record that is named like one of rilievo's predictions."""
    if instrument is None or not instrument.is_assumed or not name.endswith(_SAVED_SUFFIXES):
        return ()
    return (
        Note(
            "the depth file is named like a prediction of rilievo, but its JSON file is missing, "
            "so rilievo treats it as depth from an instrument",
            hint=Text(
                "put the JSON file next to it, or give ", OptionName("depth_error", NETWORK_WORD)
            ),
        ),
    )
