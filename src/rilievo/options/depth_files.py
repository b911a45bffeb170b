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
    """Depth map of the photograph: 16-bit PNG, npy, npz, TIFF, EXR or PFM. docs/numbers.md explains
    what such files may state.
    """
    unit: Annotated[float | None, option(metavar="METRES", above=0, names_unit=True)] = None
    """Unit of the depth map: metres per stored value (0.001, 1/256) or a name (mm, cm, m, in). By
    default what the file states, otherwise millimetres for integers and metres for floats.
    """
    kind: Annotated[str | None, option(metavar="KIND")] = None
    """Meaning of the depth map: metric or up_to_scale (along the optical axis), or distance (along
    the ray). By default what the file states, otherwise metric, or distance for a fisheye or
    panorama.
    """
    crop: Annotated[str | None, option(metavar="TOP,LEFT,HEIGHT,WIDTH|WORD")] = None
    """Part of the photograph that the depth map covers, in pixels, or 'resized' if it covers all of
    it at another size. You do not need this if the sizes are equal or whole multiples.
    """
    encoding: Annotated[str | None, option(metavar="KEY=VALUE...")] = None
    """How the values of the depth map encode depth, as KEY=VALUE pairs such as "bits=3,13
    scale=0.001 invalid=0,65535". The keys are scale, offset, invalid, bits, channels, min_depth,
    max_depth and array.
    """
    depth_error: Annotated[str | None, option(metavar="1%|10mm|0.3%/m")] = None
    """Error that 8 in 10 values of the depth map do not exceed. It determines the ranges of
    measurements. Write a percentage of depth (1%), a length (10mm), a percentage per metre of depth
    (0.3%/m, for stereo cameras), a sum of these (5mm+0.5%), or 'network' if a network predicted the
    depth. By default what rilievo recorded with the depth, otherwise 2%.
    """

    def require_depth(self) -> Path:
        """Return the file of the depth map.

        Raises:
            OptionError: If the user names no file.
        """
        if self.depth is None:
            raise OptionError(
                option="depth", problem="is missing", hint="give the file of the depth map"
            )
        return self.depth

    @property
    def keywords(self) -> dict[str, Any]:
        """Options that say what the numbers mean, as keywords of ``Prediction.from_depth``."""
        names = [field.name for field in fields(self) if field.name != "depth"]
        return {name: getattr(self, name) for name in names}

    def require_depth_for_options(self, *, allow_depth_error: bool) -> None:
        """Check that a depth map is named if there are options about one.

        Args:
            allow_depth_error: Whether ``depth_error`` may be set without a depth map, because it is
                about a sensor.

        Raises:
            OptionError: If there is no depth map, and one of the other options is set.
        """
        if self.depth is not None:
            return
        for name, value in self.keywords.items():
            is_allowed = name == "depth_error" and allow_depth_error
            if value is not None and not is_allowed:
                raise OptionError(
                    option=name,
                    problem="only applies to a depth map, but none is given",
                    hint=Text("also give ", OptionName("depth", "FILE")),
                )
