"""Record of a finished run."""

from dataclasses import dataclass

from rilievo.training.engine.config_fields import FieldDifference

# AbsRel and angle [degrees] of a constant with nothing to learn.
_FLAT, _STRAIGHT = 0.01, 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class ConstantCheck:
    """Errors at the end of a run beside those of a constant.

    Attributes:
        held_out: Whether the images were held out.
        abs_rel: AbsRel of depth scaled by each image's median.
        angle: Mean angle to true normals [degrees].
        constant_angle: Mean angle of their mean direction [degrees].
    """

    images: int
    held_out: bool
    abs_rel: float | None = None
    constant_abs_rel: float | None = None
    angle: float | None = None
    constant_angle: float | None = None

    @property
    def doubts(self) -> tuple[str, ...]:
        """Reasons to doubt that a run learned."""
        reasons, where = [], "held out" if self.held_out else "trained on"
        error, constant = self.abs_rel, self.constant_abs_rel
        if error is not None and constant is not None and error >= constant > _FLAT:
            reasons.append(
                f"the depth is no better than a constant on {self.images} images {where}: AbsRel "
                f"{error:.3f} against {constant:.3f}"
            )
        error, constant = self.angle, self.constant_angle
        if error is not None and constant is not None and error >= constant > _STRAIGHT:
            reasons.append(
                f"the normals are no better than a constant on {self.images} images {where}: "
                f"{error:.1f}° off against {constant:.1f}°"
            )
        return tuple(reasons)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingRecord:
    """Facts of a finished run that are not in ``config.json``.

    Attributes:
        passed_over: Number of images skipped for lack of a valid pixel.
        loss: Mean loss over the last epoch.
        cpu_seconds: CPU time of steps by all threads.
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
        """Reasons to doubt that the run learned."""
        return self.check.doubts
