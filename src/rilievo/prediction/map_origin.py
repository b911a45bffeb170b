"""Where a given depth map came from: an instrument, or a network if rilievo's record says so.

The ranges of measurements follow from it. Therefore a prediction that was saved and is given as a
depth map keeps its origin: a network's ranges, the stated error of an instrument, or the gaps of a
sensor.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Size
from rilievo.calibration.depth_errors import make_instrument, parse_depth_error
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.geometry.cameras.camera import Camera
from rilievo.io.saved_origins import UNKNOWN_NETWORK, SavedOrigin, read_saved_arrays
from rilievo.records.instruments import DepthSource, Instrument
from rilievo.records.prediction_record import MadeBy

NETWORK_WORD = "network"
"""Word of ``depth_error`` for depth that a network predicted, which then has a network's ranges."""
_SAVED_SUFFIXES = (".depth16.png", ".depth.npy", ".depth.tiff", ".depth.exr", ".depth.pfm")
"""Suffixes of the files in which rilievo saves depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOrigin:
    """Where a given depth map came from.

    Attributes:
        instrument: Instrument and the error of its depth; None if measurements have the ranges of a
            network.
        saved: What rilievo's record of the map says; None if there is no record.
        is_error_stated: Whether the user states the error now.
    """

    instrument: Instrument | None
    saved: SavedOrigin | None
    is_error_stated: bool

    def notes(self, name: str, *, is_in_place: bool) -> tuple[str, ...]:
        """Sentences on where the depth came from, for the user.

        Args:
            name: Name of the file.
            is_in_place: Whether the map has the pixels of the photograph.
        """
        saved, instrument = self.saved, self.instrument
        if saved is None:
            return _notes_without_record(instrument, name)
        if saved.is_changed:
            return self.warnings

        words = _origin_words(saved, instrument)
        if instrument is not None and not self.is_error_stated:
            source = "assumed" if instrument.is_assumed else "stated"
            words += f"; 8 in 10 depths are within {instrument.error}, as it was {source} then"
        note = Note(f"this depth {words} ({saved.place})")
        if instrument is None or instrument.source is not DepthSource.SENSOR:
            return (note,)
        return (note, *_notes_on_sensor_pixels(saved, is_in_place=is_in_place))

    @property
    def warnings(self) -> tuple[str, ...]:
        """Sentences on why the record may not be true of the file; empty if nothing speaks so."""
        saved = self.saved
        if saved is None:
            return ()
        if saved.is_changed:
            return (
                f"the depth file was changed since rilievo saved it ({saved.place}), so only the "
                f"kind, the unit and the camera of that record are used, and {self._error_words}",
            )
        if saved.contradiction:
            return (
                f"{saved.contradiction} beside it states another camera or another origin than the "
                f"record that is used ({saved.place})",
            )
        return ()

    @property
    def _error_words(self) -> str:
        """Where the error of a changed file comes from, in words."""
        if self.instrument is None:
            return "measurements have a network's ranges"
        if self.is_error_stated:
            return "its error is the one that you state"
        return f"8 in 10 depths are assumed to be within {self.instrument.error}"

    def instrument_with_warnings(self, warnings: tuple[str, ...]) -> Instrument | None:
        """The instrument with warnings that concern all its depth; None for a network's ranges.

        Those of the record come first.
        """
        doubts = (*self.warnings, *warnings)
        if self.instrument is None or not doubts:
            return self.instrument
        return replace(self.instrument, doubts=doubts)

    def made_by(self, map_made_by: MadeBy) -> MadeBy:
        """Model and settings of a prediction that is made of the map.

        If a network predicted the depth, its name and its licence stay.

        Args:
            map_made_by: Record that names the map alone.
        """
        instrument = self.instrument
        if instrument is not None and instrument.source is DepthSource.DEPTH_MAP:
            return map_made_by
        settings = {**map_made_by.settings, "depth": map_made_by.model}
        network = None if self.saved is None else self.saved.made_by
        if network is None:
            return replace(map_made_by, model=UNKNOWN_NETWORK, settings=settings)
        settings = {**network.settings, **settings}
        return replace(network, settings=settings, version=map_made_by.version)

    def saved_parts(self, shape: Size, camera: Camera, *, is_in_place: bool) -> dict[str, Any]:
        """Parts of the saved prediction from which ranges follow, as fields of a prediction.

        Args:
            shape: Height and width of the photograph.
            camera: Camera of the photograph.
            is_in_place: Whether the map has the pixels of the photograph. Known points of a map of
                another size lie elsewhere in the photograph.
        """
        saved = self.saved
        if saved is None or saved.is_changed:
            return {}
        if self.instrument is not None and self.instrument.source is not DepthSource.SENSOR:
            return {}

        is_same_camera = saved.camera is not None and camera.lens == saved.camera.lens
        if not (is_in_place and is_same_camera):
            saved = saved.without_places()
        parts: dict[str, Any] = {"calibration": saved.calibration, "anchoring": saved.anchoring}
        if saved.archive is None or not is_in_place:
            return parts

        dtypes = {"measured": np.bool_, "confidence": np.float32, "sky": np.bool_}
        arrays = read_saved_arrays(saved.archive)
        for name, dtype in dtypes.items():
            array = arrays.get(name)
            if array is not None and array.shape == shape and array.dtype == dtype:
                parts[name] = array
        return parts


def find_map_origin(saved: SavedOrigin | None, stated_error: object) -> MapOrigin:
    """Find out where a depth map came from.

    Args:
        saved: What rilievo's record of the map says; None if there is no record.
        stated_error: Error that the user states now, which goes before that of the record. The word
            "network" says that a network predicted the depth. None if the user states nothing.

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
    """Instrument of a map; None if it has the ranges of a network."""
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


def _origin_words(saved: SavedOrigin, instrument: Instrument | None) -> str:
    """What a record says about the origin of depth, after the words "this depth"."""
    if instrument is None:
        if saved.made_by is None:
            return "may be that of a network, so measurements have a network's ranges"
        return f"was predicted by {saved.network}, so measurements have a network's ranges"
    match instrument.source:
        case DepthSource.NETWORK:
            return f"was predicted by {saved.network}, and its error is the one that you state"
        case DepthSource.SENSOR:
            return f"is of a sensor, whose gaps {saved.network} filled"
        case DepthSource.DEPTH_MAP:
            return "was a depth map when it was saved"


def _notes_on_sensor_pixels(saved: SavedOrigin, *, is_in_place: bool) -> tuple[str, ...]:
    """Note if it is unknown which pixels the sensor measured."""
    if saved.archive is None:
        return (
            "its npz file, which says which pixels the sensor measured, is not there, so all count "
            "as filled by the network",
        )
    if not is_in_place:
        return (
            "the photograph has other pixels than the sensor's map, so all count as filled by the "
            "network",
        )
    return ()


def _notes_without_record(instrument: Instrument | None, name: str) -> tuple[str, ...]:
    """Note on a file without a record whose name is like those of rilievo's predictions."""
    if instrument is None or not instrument.is_assumed or not name.endswith(_SAVED_SUFFIXES):
        return ()
    return (
        Note(
            "its name is one of rilievo's predictions, but their JSON is not beside it, so it is "
            "taken for the depth of an instrument",
            hint=Text("put the JSON beside it, or give ", OptionName("depth_error", NETWORK_WORD)),
        ),
    )
