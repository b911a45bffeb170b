"""Final targets of a run, and notes on the frames that are left out."""

from collections.abc import Sequence

from rilievo.errors import InputError
from rilievo.io.limits import printable
from rilievo.train.video.kept import (
    KeptFrames,
    MotionUse,
    OpenSequence,
    VideoFrames,
    relative_motion,
)
from rilievo.train.video.opening import Opening
from rilievo.train.video.targets import OTHER_EYE, Found, Target, gone_free, part


def parted_frames(
    opening: Opening, opened: Sequence[OpenSequence], found: Sequence[Found]
) -> VideoFrames:
    """Leave out targets that cannot be used, hold some out, and note what became of the rest."""
    usable = [_usable(opening, opened, each) for each in found]
    parted = part(usable, opening.data.held_out)
    training = parted.training[: opening.data.limit]
    if not training:
        raise _nothing(opening, opened, found)
    lonely = sum(each.lonely for each in found)
    broken = sum(_count(each) for each in found) - sum(_count(each) for each in usable)
    if lonely or broken or parted.between:
        opening.notes.append(
            f"{len(training):,} targets, {len(parted.held_out):,} held out; left out are "
            f"{lonely:,} frames without a neighbour on each side, {broken:,} with a broken frame "
            f"or an unknown pose, {parted.between:,} next to those held out"
        )
    motion = MotionUse(follows=opening.data.follow_poses, measures=opening.data.poses is not None)
    kept, held_out = (
        KeptFrames(
            opened,
            targets,
            offsets=opening.offsets,
            motion=motion,
            hints=opening.hints,
            source_pyramids=opening.source_pyramids,
        )
        for targets in (training, parted.held_out)
    )
    return VideoFrames(
        training=kept,
        held_out=held_out,
        offsets=opening.offsets,
        sequences=tuple(opened),
        notes=tuple(opening.notes),
    )


def _count(found: Found) -> int:
    return len(found.targets) + len(found.listed_out or ())


def _usable(opening: Opening, opened: Sequence[OpenSequence], found: Found) -> Found:
    """Targets whose frames are intact and, where poses are followed, have a pose."""

    def good(target: Target) -> bool:
        if not gone_free(target, opening.gone):
            return False
        here = opened[target.place.sequence]
        return not opening.data.follow_poses or all(
            offset == OTHER_EYE or relative_motion(here, target.place, source) is not None
            for offset, source in zip(opening.offsets, target.sources, strict=True)
        )

    return Found(
        targets=tuple(filter(good, found.targets)),
        listed_out=None if found.listed_out is None else tuple(filter(good, found.listed_out)),
        lonely=found.lonely,
    )


def _nothing(
    opening: Opening, opened: Sequence[OpenSequence], found: Sequence[Found]
) -> InputError:
    """Error that explains why there is no target at all."""
    moving = list(opening.moving.values())
    name = printable(opened[0].sequence.id) if len(opened) == 1 else f"{len(opened)} sequences"
    kept = sum(len(run) for each in moving for run in each.runs)
    still = sum(each.still for each in moving)
    if still and still >= kept:
        largest = max(each.largest for each in moving)
        return InputError(
            f"{name}: the camera stands still: {still:,} of {still + kept:,} frames move less than "
            f"--least-motion ({opening.data.least_motion:g} px), the most by {largest:.2f} px; "
            "depth is learned from a camera that travels"
        )
    frames = sum(each.frames.count for each in opened)
    cuts = sum(each.cuts for each in moving)
    return InputError(
        f"{name}: no target is left of {frames:,} frames: {sum(each.lonely for each in found):,} "
        f"have no neighbour on each side ({cuts} cuts, {len(opening.gone)} broken frames, offsets "
        f"{','.join(map(str, opening.offsets))}); give more footage, or a smaller --stride "
        "or --held-out"
    )
