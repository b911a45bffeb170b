"""Options of a depth map that the user has for a photograph, in place of a network's depth."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, ClassVar

from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.schema.fields import Record, option


@dataclass(frozen=True, kw_only=True)
class DepthFile(Record):
    """Depth map of a photograph, and what its numbers mean."""

    GROUP: ClassVar[str] = "Depth map"

    depth: Annotated[Path | None, option(in_short_help=True, metavar="FILE")] = None
    """Depth of the photograph's pixels: PNG of 16 bits, npy, npz, TIFF, EXR or PFM; docs/numbers.md
    says what such files may state.
    """
    unit: Annotated[float | None, option(metavar="METRES", above=0, names_unit=True)] = None
    """Metres of one number of the depth (0.001, 1/256), or its unit (mm, cm, m, in); by default
    what the file states, else millimetres of whole numbers.
    """
    kind: Annotated[str | None, option(metavar="KIND")] = None
    """Meaning of the numbers: metric or up_to_scale (along the optical axis), or distance (along
    the ray); by default what the file states, else metric, and distance of a fisheye or panorama.
    """
    crop: Annotated[str | None, option(metavar="TOP,LEFT,HEIGHT,WIDTH|WORD")] = None
    """Part of the photograph that the depth is of [px], or resized: all of it, in another size.
    Equal sizes and whole multiples need none.
    """
    encoding: Annotated[str | None, option(metavar="KEY=VALUE...")] = None
    """What the numbers hold besides depth: pairs of scale, offset, invalid, bits, channels,
    min_depth, max_depth and array, such as "bits=3,13 scale=0.001 invalid=0,65535".
    """
    depth_error: Annotated[str | None, option(metavar="1%|10mm|0.3%/m")] = None
    """Error that 8 in 10 depths stay below, for the ranges of measurements: a share of depth (1%),
    a length (10mm), a share for each metre of depth (0.3%/m, as of stereo cameras), or a sum of
    these (5mm+0.5%); or network, if a network predicted the depth. By default that of rilievo's
    record of the depth, else 2 % is assumed.
    """

    def require_depth(self) -> Path:
        """Return the file of the depth map.

        Raises:
            OptionError: If none is named.
        """
        if self.depth is None:
            raise OptionError(
                option="depth", expected="the file of the depth map", hint="add it to the command"
            )
        return self.depth

    @property
    def keywords(self) -> dict[str, Any]:
        """Options that say what the numbers mean, as keywords of ``Prediction.from_depth``."""
        names = [field.name for field in fields(self) if field.name != "depth"]
        return {name: getattr(self, name) for name in names}

    def refuse_without_depth(self, *, error_is_used: bool) -> None:
        """Refuse options about a depth map where none is named.

        Args:
            error_is_used: Whether ``depth_error`` is about something else, such as a sensor.

        Raises:
            OptionError: If there is no depth map, and one of the other options is set.
        """
        if self.depth is not None:
            return
        for name, value in self.keywords.items():
            is_used = name == "depth_error" and error_is_used
            if value is not None and not is_used:
                raise OptionError(
                    option=name,
                    problem="is about a depth map, and none is named",
                    hint=Text("give ", OptionName("depth", "FILE"), " too"),
                )
