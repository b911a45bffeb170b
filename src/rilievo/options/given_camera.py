"""Options of the camera: intrinsics, field of view, projection, vanishing points."""

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, ClassVar, TypedDict

import tyro

from rilievo.geometry.cameras.spelling import spelled
from rilievo.options.camera_forms import CameraLike, Named, is_lens, read_camera, text_of
from rilievo.options.option_marks import ALWAYS_RECORDED, LIVE, InRequests
from rilievo.options.option_record import Record, Rule


class CameraArguments(TypedDict, total=False):
    """Arguments of ``rilievo.predict`` that ``GivenCamera`` holds."""

    camera: CameraLike | None
    fov: float | None
    projection: str | None
    vanishing_points: bool


@dataclass(frozen=True, kw_only=True)
class GivenCamera(Record):
    """Camera that the user names, or how an unknown one is found."""

    GROUP: ClassVar[str] = "Camera and metres"
    RULES: ClassVar[tuple[Rule, ...]] = (
        ("fov", lambda value: 0 < value < 180, "between 0 and 180 degrees"),
    )
    EXCLUSIVE: ClassVar[tuple[tuple[str, str], ...]] = (
        ("camera", "fov"),
        ("camera", "projection"),
        ("fov", "projection"),
    )

    camera: Annotated[
        str | None,
        tyro.conf.arg(metavar="F|24mm|FX,FY,CX,CY|FILE"),
        ALWAYS_RECORDED,
        InRequests(
            "Intrinsics in pixels of the upright photograph: a focal length, FX,FY,CX,CY or the "
            "nine numbers of K; or 24mm (35 mm equivalent), 18mm/23.5mm (focal length over the "
            "sensor's width), or a lens as in projection. Otherwise from EXIF, else assumed."
        ),
        LIVE,
    ] = None
    """Intrinsics in pixels of the upright photograph: a focal length, FX,FY,CX,CY, the nine numbers
    of K, a lens as in --projection, or a file of these (also of COLMAP, Kalibr, KITTI, TUM, ROS);
    the centre of its top-left pixel is (0, 0). Or a focal length in millimetres: 24mm (35 mm
    equivalent, by the diagonal) or 18mm/23.5mm (over the sensor's width). By default from EXIF, or
    else assumed; the JSON file says which.
    """
    fov: Annotated[float | None, tyro.conf.arg(metavar="DEGREES"), ALWAYS_RECORDED, LIVE] = None
    """Horizontal field of view in degrees, instead of intrinsics."""
    projection: Annotated[str | None, tyro.conf.arg(metavar="LENS")] = None
    """Lens of the photograph: equirect (a whole panorama), equirect:HxV (a part, in degrees),
    fisheye:DEGREES (from left edge to right edge), pinhole, or the lens in numbers, such as
    opencv:FX,FY,CX,CY,K1,K2,P1,P2. By default a panorama if the file says so (GPano), else pinhole.
    """
    vanishing_points: bool = False
    """Estimate an unknown focal length from straight edges at right angles (rooms, houses); it is
    assumed if they are not clear. Photographs only.
    """

    def __post_init__(self) -> None:
        if self.camera is not None and not _is_text_of_numbers(self.camera):
            # In numbers, so that results record them and not the name of a file.
            named = read_camera(self.camera)
            assert named is not None, "it is given"
            object.__setattr__(self, "camera", text_of(named))
            self.__dict__["given_camera"] = named
        if self.projection is not None:
            spelled(self.projection)
        super().__post_init__()

    @cached_property
    def given_camera(self) -> Named | None:
        """Camera of ``camera`` or ``projection``; None if neither is given."""
        return read_camera(self.camera) if self.projection is None else spelled(self.projection)


def _is_text_of_numbers(camera: object) -> bool:
    """Whether a camera is a text of numbers already, which is recorded as it was given."""
    return isinstance(camera, str) and (
        is_lens(camera) or bool(re.match(r"[\s\d.,eE+-]+$", camera))
    )
