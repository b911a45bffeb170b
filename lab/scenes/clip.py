"""Renders clips: one scene, seen by a camera that moves through it."""

from dataclasses import dataclass, replace

import numpy as np

from lab.scenes.buffers import View
from lab.scenes.chance import even_chance
from lab.scenes.hand_held import blurred, choose_hand_held
from lab.scenes.lens import choose_lens, expose, level_of
from lab.scenes.renderer import (
    ATTEMPTS,
    Shot,
    as_sample,
    choose_haze,
    default_textures,
    draw_scene,
    shots,
    through_air,
)
from lab.scenes.textures import TextureBank
from lab.scenes.venue import Kind
from lab.scenes.walks import choose_walk
from rilievo.errors import InputError, OptionError
from rilievo.records.sample import Sample

RAYS = 2
"""Rays per pixel; more than for a photograph, since noise would differ between frames."""
FOLLOWS = np.float32(0.15)
"""Share by which the exposure of a hand-held clip nears that of the next frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """Consecutive frames of one camera in one world.

    Attributes:
        id: Unique id in the dataset.
        frames: Frames in temporal order, of one size, each with camera and pose.
    """

    id: str
    frames: tuple[Sample, ...]

    def __post_init__(self) -> None:
        if not self.frames:
            raise InputError(f"clip {self.id}: it has no frame")
        size = self.frames[0].image.shape
        for frame in self.frames:
            if frame.image.shape != size:
                raise InputError(
                    f"clip {self.id}: frame {frame.id} is {frame.image.shape}, the first {size}"
                )
            if frame.camera is None or frame.world_T_cam is None:
                raise InputError(f"clip {self.id}: frame {frame.id} lacks its camera or its pose")


def render_clip(
    seed: int,
    *,
    frames: int = 8,
    size: tuple[int, int] = (192, 256),
    textures: TextureBank | None = None,
    kind: Kind = Kind.ALL,
    step: float | None = None,
    hand_held: bool = False,
) -> Clip:
    """Render a walk through a randomly generated scene.

    The scene is static. All frames share one camera and the exposure of the first frame, without
    vignette, shake or colour fringes, so diffuse surfaces keep their colour; only reflections,
    highlights and grain change. In hand-held clips the exposure follows the picture and motion
    blurs it.

    Args:
        seed: The same seed and arguments give the same clip.
        frames: Number of frames.
        size: (height, width) [px].
        textures: Texture bank; by default one made from scikit-image's free photographs, once per
            process.
        kind: Kind of scene.
        step: Distance between consecutive frames [m]; by default 1% to 4% of the first view's
            median distance, and a third of that in hand-held clips.
        hand_held: Whether the camera is carried by hand: it bobs, trembles and looks around.

    Returns:
        Frames with exact depth, normals, sky, camera and pose. No surface is nearer to the camera
        than ``walks.CLEARANCE``, at frames or on the way between them.

    Raises:
        OptionError: If ``frames`` is less than 1, or no scene has room for steps of that length.
    """
    if frames < 1:
        raise OptionError(f"a clip has at least 1 frame, got {frames}")
    if step is not None and not 0 < step < float("inf"):
        raise OptionError(f"the step is a positive number of metres, got {step}")
    bank = default_textures() if textures is None else textures
    for shot in shots(seed, bank, size, kind):
        choose = choose_hand_held if hand_held else choose_walk
        views = choose(shot.view, shot.venue, shot.scene, shot.dice, size, frames, step)
        if views is not None:
            filmed = film(seed, shot, views, bank, size, hand_held=hand_held)
            return Clip(id=f"synthetic/{seed}", frames=filmed)
    raise OptionError(
        f"of {ATTEMPTS} scenes none has room for {frames} frames {step} m apart; "
        "ask for fewer or smaller steps"
    )


def film(
    seed: int,
    shot: Shot,
    views: list[View],
    bank: TextureBank,
    size: tuple[int, int],
    *,
    hand_held: bool = False,
) -> tuple[Sample, ...]:
    """Render the frames of a walk with one lens."""
    haze = choose_haze(shot)
    lens = replace(choose_lens(shot.dice, shot.draw), vignette=0.0, shake=0.0, fringe=0.0)
    level, samples, lenses = None, [], [lens] * len(views)
    for k, view in enumerate(views):
        buffers = draw_scene(shot.scene, view, bank, size, even_chance(*size, RAYS, shot.draw))
        colours = through_air(buffers, shot.scene, haze)
        own = level_of(colours)
        if level is None:
            level = own
            if hand_held:
                depth = buffers.depth[buffers.depth > 0]
                lenses = blurred(lens, views, float(np.median(depth)))
        elif hand_held:
            level *= (own / level) ** FOLLOWS
        image = expose(colours, lenses[k], level, shot.draw)
        samples.append(as_sample(f"synthetic/{seed}/{k:06d}", image, buffers, view))
    return tuple(samples)
