"""Frames of one scene from several places, for a photometric loss to compare."""

from dataclasses import dataclass

from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Views:
    """A batch of target frames, each with the same number of source frames.

    Colours are RGB in 0..1. The loss compares frames as the camera saw them; the networks see
    frames (``target_seen``, ``sources_seen``) whose colours may be changed.

    Attributes:
        target: Frames whose depth is learned.
        sources: Frames of the same scene from elsewhere, in the order of ``offsets``.
        target_seen: ``target`` for the networks.
        sources_seen: ``sources`` for the networks.
        offsets: Offset of each source in time: -1 for the frame before, 1 for the one after, 0 for
            the other eye.
        pyramid: ``target`` at the sizes of scales 0 to 3, each made from the one before.
        K: Intrinsics [px] at the size of ``target``.
        source_T_target: Known motion of each source; None where the pose network predicts it. The
            unit of its translation [m] becomes that of depth.
        source_pyramids: Pyramid of each source; None unless coarser sizes are compared.
        travelled: Distance [m] between target and each source where it is known, else NaN; for
            metric scale. None if no distance is known.
        valid: Pixels of the target that count; None if all do.
        hints: Depth [m, or the unit of known motion] to learn from where it explains the sources
            better than the prediction; not positive where there is none. None without hints.
        prior: Depth of the target in any unit that learned depth is kept near; not positive where
            it is unknown. None without.
        corners: Depth of tracked corners by triangulation, in any unit; not positive elsewhere.
            None without.
    """

    target: Float[Tensor, "b 3 h w"]
    sources: tuple[Float[Tensor, "b 3 h w"], ...]
    target_seen: Float[Tensor, "b 3 h w"]
    sources_seen: tuple[Float[Tensor, "b 3 h w"], ...]
    offsets: tuple[int, ...]
    pyramid: tuple[Float[Tensor, "b 3 _ _"], ...]
    K: Float[Tensor, "b 3 3"]
    source_T_target: tuple[Float[Tensor, "b 4 4"] | None, ...]
    source_pyramids: tuple[tuple[Float[Tensor, "b 3 _ _"], ...], ...] | None = None
    travelled: Float[Tensor, "b n"] | None = None
    valid: Bool[Tensor, "b h w"] | None = None
    hints: Float[Tensor, "b h w"] | None = None
    prior: Float[Tensor, "b h w"] | None = None
    corners: Float[Tensor, "b h w"] | None = None
