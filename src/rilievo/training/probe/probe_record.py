"""Record of a finished run of a probe."""

from dataclasses import dataclass

from rilievo.training.engine.config_fields import FieldDifference

_MIN_CONSTANT_ABS_REL = 0.01
"""AbsRel of a constant below which depth is so flat that there is nothing to learn."""
_MIN_CONSTANT_ANGLE = 1.0
"""The same of the angle of a constant normal [degrees]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantCheck:
    """Errors at the end of a run beside those of a constant.

    Attributes:
        images: Number of images.
        held_out: Whether the images were held out.
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

    @property
    def doubts(self) -> tuple[str, ...]:
        """Reasons to think that a run learned nothing, as sentences."""
        reasons = []
        images = f"{self.images} images {'held out' if self.held_out else 'trained on'}"
        if _is_no_better(self.abs_rel, self.constant_abs_rel, least=_MIN_CONSTANT_ABS_REL):
            reasons.append(
                f"the depth is no better than a constant on {images}: AbsRel "
                f"{self.abs_rel:.3f} against {self.constant_abs_rel:.3f}"
            )
        if _is_no_better(self.angle, self.constant_angle, least=_MIN_CONSTANT_ANGLE):
            reasons.append(
                f"the normals are no better than a constant on {images}: "
                f"{self.angle:.1f}° off against {self.constant_angle:.1f}°"
            )
        return tuple(reasons)


def _is_no_better(error: float | None, constant: float | None, *, least: float) -> bool:
    """Whether an error is not below that of a constant, which is above ``least``."""
    return error is not None and constant is not None and error >= constant > least


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """Result of a finished run.

    Attributes:
        backbone_sha256: SHA-256 of the weights of the backbone.
        layers: Layers of the backbone that were taken.
        images: Number of images to train on.
        held_out: Number of held-out images.
        passed_over: Number of images that were skipped for lack of a pixel to learn from.
        passed_over_ids: Ids of some of them.
        loss: Mean loss over the last epoch; None if it had no batch to learn from.
        check: Errors at the end beside those of a constant.
        cpu_seconds: CPU time of the steps, over all threads [s].
        differences: Fields of the configuration that differ from the preset ``default``.
    """

    backbone_sha256: str
    layers: tuple[int, ...]
    backbone_parameters: int
    probe_parameters: int
    images: int
    held_out: int
    passed_over: int
    passed_over_ids: tuple[str, ...]
    steps: int
    loss: float | None = None
    check: ConstantCheck
    cpu_seconds: float
    device: str
    torch_version: str
    version: str
    differences: tuple[FieldDifference, ...]

    @property
    def doubts(self) -> tuple[str, ...]:
        """Reasons to think that the run learned nothing, as sentences."""
        return self.check.doubts
