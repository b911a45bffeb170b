"""Options of a depth map that the user gives for a photograph, in place of a network's depth."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar

from rilievo.calibration.depth_errors import parse_depth_error
from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.records.instruments import DepthError
from rilievo.schema.fields import Record, option


@dataclass(frozen=True, kw_only=True)
class DepthFile(Record):
    """Depth map of a photograph, and what its numbers mean."""

    GROUP: ClassVar[str] = "Depth map"

    depth: Annotated[Path | None, option(metavar="FILE")] = None
    """Depth of the photograph's pixels: PNG of 16 bits, npy, npz, TIFF, EXR or PFM;
    docs/numbers.md says what such files may state."""
    unit: Annotated[float | None, option(metavar="METRES", above=0)] = None
    """Metres of one number of the depth; by default what the file states, else millimetres of whole
    numbers."""
    kind: Annotated[str | None, option(metavar="KIND")] = None
    """Meaning of the numbers: metric, up_to_scale, or distance along the ray; by default what the
    file states, else metric."""
    crop: Annotated[str | None, option(metavar="TOP,LEFT,HEIGHT,WIDTH|WORD")] = None
    """Part of the photograph that the depth is of [px], or resized: all of it, in another size.
    Equal sizes and whole multiples need none."""
    depth_error: Annotated[str | None, option(metavar="1%|10mm|0.3%/m")] = None
    """Error that 8 in 10 depths stay below, for the ranges of measurements: a share of depth (1%),
    a length (10mm), a share for each metre of depth (0.3%/m, as of stereo cameras), or a sum of
    these (5mm+0.5%). By default 2 % is assumed."""

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

    def refuse_without_depth(self, *, error_is_used: bool) -> None:
        """Refuse options about a depth map where none is named.

        Args:
            error_is_used: Whether ``depth_error`` is about something else, such as a sensor.

        Raises:
            OptionError: If there is no depth map, and one of the other options is set.
        """
        if self.depth is not None:
            return
        names = ["unit", "kind", "crop"]
        if not error_is_used:
            names.append("depth_error")
        for name in names:
            if getattr(self, name) is not None:
                raise OptionError(
                    option=name,
                    problem="is about a depth map, and none is named",
                    hint=Text("give ", OptionName("depth", "FILE"), " too"),
                )

    @cached_property
    def stated_depth_error(self) -> DepthError | None:
        """Error that ``depth_error`` states; None if it does not."""
        return None if self.depth_error is None else parse_depth_error(self.depth_error)
