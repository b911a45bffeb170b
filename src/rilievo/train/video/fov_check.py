"""Note on a field of view that does not fit the footage."""

from rilievo.geometry.focal import CornerPair, better_focal_factor
from rilievo.geometry.intrinsics import horizontal_fov
from rilievo.geometry.pair_motion import TRACKING
from rilievo.geometry.tracks import grey, track_corners
from rilievo.train.video.kept import DepthOf, KeptFrames

_CHECKED = 40


def fov_notes(frames: KeptFrames, prior: DepthOf) -> tuple[str, ...]:
    """Compare the camera's field of view with the turns of the first sequence.

    Args:
        frames: Targets.
        prior: Depth of the targets.

    Returns:
        A note where another field of view fits clearly better, else nothing.
    """
    first = frames.targets[0].place.sequence
    chosen = [each for each in frames.some(_CHECKED).targets if each.place.sequence == first]
    pairs = []
    for target in chosen:
        now, then = (grey(frames.frame_of(each)) for each in (target.place, target.sources[-1]))
        pairs.append(CornerPair(track_corners(now, then, TRACKING), prior.of(target.place)))
    K = frames.K_of(frames.targets[0])
    factor = better_focal_factor(pairs, K)
    if factor is None:
        return ()
    width = frames.frame_of(frames.targets[0].place).shape[1]
    changed = K.copy()
    changed[[0, 1], [0, 1]] *= factor
    own, better = horizontal_fov(K, width), horizontal_fov(changed, width)
    return (
        f"the field of view seems wrong: tracked corners fit about {better:.0f} degrees better "
        f"than {own:.0f}; give --fov or --camera",
    )
