"""Record of a finished run of a probe."""

from dataclasses import dataclass

from rilievo.errors.messages import count_text
from rilievo.training.engine.config_fields import FieldDifference

_MIN_CONSTANT_ABS_REL = 0.01
"""AbsRel of a constant below which depth is so flat that there is nothing to learn."""
_MIN_CONSTANT_ANGLE = 1.0
"""The same of the angle of a constant normal [degrees]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantComparison:
    """Errors at the end of a run beside those of a constant.

    Attributes:
        abs_rel: AbsRel of depth scaled by the median of each image; None if it is not predicted.
        constant_abs_rel: AbsRel of the median of the true depth.
        angle: Mean angle to the true normals [degrees]; None if they are not predicted.
        constant_angle: Mean angle of the true normals to their mean direction [degrees].
    """

    images: int
    held_out: bool
    abs_rel: float | None = None
    constant_abs_rel: float | None = None
    angle: float | None = None
    constant_angle: float | None = None

    def describe(self) -> tuple[str, ...]:
        """Describe the errors of depth and of normals, as far as they are known, one a line."""
        lines = []
        if self.abs_rel is not None:
            lines.append(
                f"AbsRel of depth on {self._count_images()}: {self.abs_rel:.3f} after scaling, "
                f"{self.constant_abs_rel:.3f} for a constant"
            )
        if self.angle is not None:
            lines.append(
                f"error of normals on {self._count_images()}: {self.angle:.1f}°, "
                f"{self.constant_angle:.1f}° for a constant"
            )
        return tuple(lines)

    def _count_images(self) -> str:
        return count_text(self.images, "held-out image" if self.held_out else "training image")

    @property
    def quality_warnings(self) -> tuple[str, ...]:
        """Reasons to think that a run learned nothing, as sentences."""
        quality_warnings = []
        images = self._count_images()
        if _is_no_better(
            self.abs_rel, self.constant_abs_rel, min_constant_error=_MIN_CONSTANT_ABS_REL
        ):
            quality_warnings.append(
                f"the depth is no better than a constant on {images}: AbsRel is "
                f"{self.abs_rel:.3f}, compared with {self.constant_abs_rel:.3f} for the constant"
            )
        if _is_no_better(self.angle, self.constant_angle, min_constant_error=_MIN_CONSTANT_ANGLE):
            quality_warnings.append(
                f"the normals are no better than a constant on {images}: the error is "
                f"{self.angle:.1f}°, compared with {self.constant_angle:.1f}° for the constant"
            )
        return tuple(quality_warnings)


def _is_no_better(
    error: float | None, constant_error: float | None, *, min_constant_error: float
) -> bool:
    """Whether an error is not below that of a constant, which is above ``min_constant_error``."""
    if error is None or constant_error is None:
        return False
    return error >= constant_error > min_constant_error


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRecord:
    """Result of a finished run.

    Attributes:
        layers: Layers of the backbone that were taken.
        skipped: Number of images that were skipped for lack of a pixel to learn from.
        skipped_ids: Ids of some of them.
        loss: Mean loss over the last epoch; None if it had no batch to learn from.
        constant_comparison: Errors at the end beside those of a constant.
        cpu_seconds: CPU time of the steps, over all threads [s].
        differences: Fields of the configuration that differ from the preset ``default``.
    """

    backbone_sha256: str
    layers: tuple[int, ...]
    backbone_parameters: int
    probe_parameters: int
    images: int
    held_out: int
    skipped: int
    skipped_ids: tuple[str, ...]
    steps: int
    loss: float | None = None
    constant_comparison: ConstantComparison
    cpu_seconds: float
    device: str
    torch_version: str
    version: str
    differences: tuple[FieldDifference, ...]

    @property
    def quality_warnings(self) -> tuple[str, ...]:
        """Reasons to think that the run learned nothing, as sentences."""
        return self.constant_comparison.quality_warnings
