"""Lessons of an outline head: frames as the frozen networks see them, and what they teach."""

from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor

from lab.making.outline_faults import melted
from lab.making.outline_frames import Frames
from lab.making.outline_frozen import Frozen, Views
from lab.making.outline_losses import Aim, aim_of, still_aim
from lab.making.outline_maps import outlines_of, widened
from lab.making.outline_network import fuse
from lab.making.outline_target import REACH, outlined

CELL = 8
"""Side of the cells of a picked layout [px]."""
_REACHES = (REACH, REACH, REACH, 40, 56)
"""Reaches of the target's windows, of which each lesson takes one."""
_LAYOUT_REACH = 10
"""Reach of the windows of the layout's target [cells]."""
_QUIET = 3
"""Cells around still ones that are still too, where cells are quiet."""
_MELTED_DETAIL = (5, 9, 9, 17, 17, 25)
_MELTED_LAYOUT = (17, 33, 33, 65)
_DETAIL_SHARE, _LAYOUT_SHARE, _PICKED_SHARE = 0.7, 0.3, 0.7


class Lesson(NamedTuple):
    """Frames as the frozen networks see them, and what is learnt from them.

    Attributes:
        views: Answers of the frozen networks.
        aim: Target of depth and its weights.
        layout: Target of the layout, at an eighth of the size.
        cells: Cells whose layout is learnt.
        quiet: Cells without a true outline far and wide, whose layout has no cause to change.
        plain: Frames without faults of cameras, and photographs: their depth is not melted.
    """

    views: Views
    aim: Aim
    layout: Float[Tensor, "b 1 h8 w8"]
    cells: Bool[Tensor, "b 1 h8 w8"]
    quiet: Bool[Tensor, "b 1 h8 w8"]
    plain: Bool[Tensor, "b 1 1 1"]


class LessonStore:
    """Lessons of single frames, the newest ones, in half precision."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._lessons: list[list[Tensor]] = []

    def __len__(self) -> int:
        return len(self._lessons)

    def add(self, lesson: Lesson) -> None:
        """Add the frames of a lesson, and drop the oldest ones."""
        parts = [x.half() if x.is_floating_point() else x for x in _parts(lesson)]
        singles = zip(*(x.clone().split(1) for x in parts), strict=True)
        self._lessons = [*self._lessons, *map(list, singles)][-self._most :]

    def draw(self, count: int, random: np.random.Generator) -> Lesson:
        """Return frames at random as one lesson."""
        drawn = [self._lessons[each] for each in random.integers(len(self), size=count)]
        parts = [torch.cat(each) for each in zip(*drawn, strict=True)]
        return _lesson([x.float() if x.is_floating_point() else x for x in parts])


def _parts(lesson: Lesson) -> list[Tensor]:
    return [*lesson.views, *lesson.aim, *lesson[2:]]


def _lesson(parts: list[Tensor]) -> Lesson:
    views, aims = len(Views._fields), len(Aim._fields)
    return Lesson(Views(*parts[:views]), Aim(*parts[views : views + aims]), *parts[views + aims :])


@torch.no_grad()
def lesson_of(
    frames: Frames, frozen: Frozen, random: np.random.Generator, *, picks: bool
) -> Lesson:
    """Let frozen networks look at frames, and set the targets.

    Args:
        frames: Frames with the faults of cameras.
        frozen: Networks that the head reads.
        random: Source of the target's windows.
        picks: Whether the layout is picked anew, and has a target with the truth's outlines.
    """
    views, land = frozen(frames.image), torch.isfinite(frames.true)
    reach = int(random.choice(_REACHES))
    own = F.avg_pool2d(views.coarse, CELL)
    fused = fuse(views.coarse, views.fine, views.sky)
    layout, depth = own, fused
    if picks:
        middle = (..., slice(CELL // 2, None, CELL), slice(CELL // 2, None, CELL))
        layout = outlined(own, frames.true[middle], reach=_LAYOUT_REACH, near=1, every=1)
        depth = fuse(layout, views.fine, views.sky)
    target = outlined(depth, frames.true, reach=reach)
    aim = aim_of(target, land, outlines_of(frames.true), frames.image)
    cells = F.avg_pool2d((land & (views.sky < 0.5)).float(), CELL) > 0.5
    quiet = ~widened(F.avg_pool2d(aim.still.float(), CELL) < 1, _QUIET)
    if frames.measured.any():
        still = still_aim(fused, frames.true, frames.image)
        aim = Aim(*(torch.where(frames.measured, *each) for each in zip(still, aim, strict=True)))
        layout = torch.where(frames.measured, own, layout)
        stays = F.avg_pool2d(still.smooth.float(), CELL) > 0.5
        cells, quiet = (torch.where(frames.measured, stays, each) for each in (cells, quiet))
    return Lesson(views, aim, layout, cells, quiet, frames.plain | frames.measured)


@torch.no_grad()
def softened(lesson: Lesson, random: np.random.Generator, *, picks: bool) -> Views:
    """Answers of the frozen networks, melted in places.

    Args:
        lesson: Lesson, whose plain frames stay as they are.
        random: Source of what all frames share.
        picks: Whether the layout is picked anew.
    """
    views = lesson.views
    fine = melted(views.fine, _MELTED_DETAIL, random, share=_DETAIL_SHARE)
    fine = torch.where(lesson.plain, views.fine, fine)
    share = _PICKED_SHARE if picks else _LAYOUT_SHARE
    coarse = melted(views.coarse, _MELTED_LAYOUT, random, share=share, bias=-1.0)
    return views._replace(fine=fine, coarse=torch.where(lesson.plain, views.coarse, coarse))


@torch.no_grad()
def softened_wholly(views: Views, random: np.random.Generator) -> Views:
    """Answers of the frozen networks whose detail is melted in every frame."""
    return views._replace(fine=melted(views.fine, _MELTED_DETAIL, random, share=1.0))
