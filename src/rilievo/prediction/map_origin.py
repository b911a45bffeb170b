"""Origin of a depth map at hand: an instrument, or a network by rilievo's record of the map.

The ranges of measurements follow from it, so a prediction that was saved and is given as a depth
map keeps its origin: a network's ranges, the stated error of an instrument, and the gaps of a
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
"""Word for the error of depth that a network predicted, by which it has the network's ranges."""
_SAVED_SUFFIXES = (".depth16.png", ".depth.npy", ".depth.tiff", ".depth.exr", ".depth.pfm")
"""Ends of the names of rilievo's files of depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOrigin:
    """Origin of a depth map at hand.

    Attributes:
        instrument: Instrument and the error of its depth; None for the ranges of a network.
        saved: Origin by rilievo's record of the map; None if there is no record.
        is_error_stated: Whether the user states the error now.
    """

    instrument: Instrument | None
    saved: SavedOrigin | None
    is_error_stated: bool

    def notes(self, name: str, *, is_in_place: bool) -> tuple[str, ...]:
        """What the record of a file of this name says about the origin, in a sentence.

        Args:
            name: Name of the file.
            is_in_place: Whether the map has the pixels of the photograph.
        """
        saved = self.saved
        if saved is None:
            return _notes_without_record(self.instrument, name)
        if saved.is_changed:
            return self.warnings
        if self.instrument is None and saved.made_by is None:
            words = "may be that of a network, so measurements have a network's ranges"
        elif self.instrument is None:
            words = f"was predicted by {saved.network}, so measurements have a network's ranges"
        elif self.instrument.source is DepthSource.NETWORK:
            words = f"was predicted by {saved.network}, and its error is the one that you state"
        elif self.instrument.source is DepthSource.SENSOR:
            words = f"is of a sensor, whose gaps {saved.network} filled"
        else:
            words = "was a depth map when it was saved"
        if self.instrument is not None and not self.is_error_stated:
            source = "assumed" if self.instrument.is_assumed else "stated"
            words += f"; 8 in 10 depths are within {self.instrument.error}, as it was {source} then"
        return (
            Note(f"this depth {words} ({saved.place})"),
            *self._notes_on_gaps(is_in_place=is_in_place),
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What makes the record of the file untrue, a sentence each; empty if nothing does."""
        saved = self.saved
        if saved is None:
            return ()
        if saved.contradiction and not saved.is_changed:
            return (
                f"{saved.contradiction} beside it states another camera or another origin than the "
                f"record that is used ({saved.place})",
            )
        if not saved.is_changed:
            return ()
        if self.instrument is None:
            words = "measurements have a network's ranges"
        elif self.is_error_stated:
            words = "its error is the one that you state"
        else:
            words = f"8 in 10 depths are assumed to be within {self.instrument.error}"
        return (
            f"the depth file was changed since rilievo saved it ({saved.place}), so only the "
            f"kind, the unit and the camera of that record are used, and {words}",
        )

    def _notes_on_gaps(self, *, is_in_place: bool) -> tuple[str, ...]:
        """Note that the mask of a sensor's pixels is missing, or of another size."""
        instrument, saved = self.instrument, self.saved
        assert saved is not None, "the caller has asked"
        if instrument is None or instrument.source is not DepthSource.SENSOR:
            return ()
        if saved.archive is not None and is_in_place:
            return ()
        if saved.archive is not None:
            return (
                "the photograph has other pixels than the sensor's map, so all count as filled by "
                "the network",
            )
        return (
            "its npz file, which says which pixels the sensor measured, is not there, so all count "
            "as filled by the network",
        )

    def with_doubts(self, doubts: tuple[str, ...]) -> Instrument | None:
        """The instrument, with what would make all its depth wrong."""
        doubts = (*self.warnings, *doubts)
        if self.instrument is None or not doubts:
            return self.instrument
        return replace(self.instrument, doubts=doubts)

    def made_by(self, given: MadeBy) -> MadeBy:
        """Origin of a prediction that is made of the map; ``given`` is that of the map alone.

        The network's name and licence stay, because its depth is in the map.
        """
        instrument = self.instrument
        if instrument is not None and instrument.source is DepthSource.DEPTH_MAP:
            return given
        saved = None if self.saved is None else self.saved.made_by
        if saved is None:
            settings = {**given.settings, "depth": given.model}
            return replace(given, model=UNKNOWN_NETWORK, settings=settings)
        settings = {**saved.settings, **given.settings, "depth": given.model}
        return replace(saved, settings=settings, version=given.version)

    def saved_parts(self, shape: Size, camera: Camera, *, is_in_place: bool) -> dict[str, Any]:
        """Parts of the saved prediction on which ranges depend, as fields of a prediction.

        Args:
            shape: Height and width of the photograph.
            camera: Camera of the photograph.
            is_in_place: Whether the map has the pixels of the photograph. Places in a map of
                another size, such as those of known points, are not those of the photograph.
        """
        saved = self.saved
        if saved is None or saved.is_changed:
            return {}
        if self.instrument is not None and self.instrument.source is not DepthSource.SENSOR:
            return {}
        is_same_view = is_in_place and saved.camera is not None and _is_same(camera, saved.camera)
        if not is_same_view:
            saved = saved.without_places()
        parts: dict[str, Any] = {"calibration": saved.calibration, "anchoring": saved.anchoring}
        if saved.archive is None or not is_in_place:
            return parts
        arrays = read_saved_arrays(saved.archive)
        kinds = {"measured": np.bool_, "confidence": np.float32, "sky": np.bool_}
        for name, kind in kinds.items():
            array = arrays.get(name)
            if array is not None and array.shape == shape and array.dtype == kind:
                parts[name] = array
        return parts


def find_map_origin(saved: SavedOrigin | None, stated_error: object) -> MapOrigin:
    """Find the origin of a depth map.

    Args:
        saved: Origin by rilievo's record of the map, if there is one.
        stated_error: Error that the user states now, which goes before that of the record; the word
            "network" says that a network predicted the depth.

    Raises:
        OptionError: If the stated error cannot be read.
    """
    is_network = isinstance(stated_error, str) and stated_error.strip() == NETWORK_WORD
    if is_network:
        return MapOrigin(instrument=None, saved=saved, is_error_stated=False)
    is_stated = stated_error is not None
    if saved is None:
        instrument = make_instrument(DepthSource.DEPTH_MAP, stated_error)
    elif saved.instrument is None:
        instrument = make_instrument(DepthSource.NETWORK, stated_error) if is_stated else None
    elif saved.is_changed:
        instrument = make_instrument(DepthSource.DEPTH_MAP, stated_error)
    elif is_stated:
        error = parse_depth_error(stated_error)
        instrument = replace(saved.instrument, error=error, is_assumed=False)
    else:
        instrument = saved.instrument
    return MapOrigin(instrument=instrument, saved=saved, is_error_stated=is_stated)


def _notes_without_record(instrument: Instrument | None, name: str) -> tuple[str, ...]:
    """Note that a file has a name as rilievo gives to predictions, but no record."""
    if instrument is None or not instrument.is_assumed or not name.endswith(_SAVED_SUFFIXES):
        return ()
    return (
        Note(
            "its name is one of rilievo's predictions, but their JSON is not beside it, so it is "
            "taken for the depth of an instrument",
            hint=Text("put the JSON beside it, or give ", OptionName("depth_error", NETWORK_WORD)),
        ),
    )


def _is_same(first: Camera, second: Camera) -> bool:
    """Whether two cameras have the same lens."""
    return first.lens == second.lens
