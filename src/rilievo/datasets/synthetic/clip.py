"""A clip: one scene, seen by a camera that moves through it."""

from dataclasses import dataclass, replace

from rilievo.datasets.synthetic.buffers import View
from rilievo.datasets.synthetic.chance import even_chance
from rilievo.datasets.synthetic.lens import choose_lens, expose, level_of
from rilievo.datasets.synthetic.renderer import (
    ATTEMPTS,
    Shot,
    as_sample,
    choose_haze,
    default_textures,
    draw_scene,
    shots,
    through_air,
)
from rilievo.datasets.synthetic.textures import TextureBank
from rilievo.datasets.synthetic.venue import Kind
from rilievo.datasets.synthetic.walks import choose_walk
from rilievo.errors import InputError, OptionError
from rilievo.types import Sample

RAYS = 2
"""More than for a photograph: the noise of light is all that tells two frames apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Clip:
    """Consecutive frames of one camera in one world.

    Attributes:
        id: Unique in its dataset.
        frames: In the order they were taken, of one size, each with its camera and pose.
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
) -> Clip:
    """Render a walk through a scene made by chance.

    Nothing in the scene moves. All frames have one camera, exposed for the first of them, without
    vignette, shake or coloured fringes, so that a dull surface keeps its colour; only what mirrors
    and glosses, and grain, change.

    Args:
        seed: The same seed and arguments give the same clip.
        frames: How many.
        size: (height, width) in pixels.
        textures: Made of scikit-image's free photographs if left out, once per process.
        kind: What is seen.
        step: Way between frames [m]; by default 1 % to 4 % of the middle distance that is seen.

    Returns:
        Frames with exact depth, normals, sky, camera and pose; nothing comes nearer to the lens
        than ``walks.CLEARANCE``, nor would between two frames.

    Raises:
        OptionError: If there is no frame, or no scene has room for steps of that length.
    """
    if frames < 1:
        raise OptionError(f"a clip has at least 1 frame, got {frames}")
    if step is not None and not 0 < step < float("inf"):
        raise OptionError(f"the step is a positive number of metres, got {step}")
    bank = default_textures() if textures is None else textures
    for shot in shots(seed, bank, size, kind):
        views = choose_walk(shot.view, shot.venue, shot.scene.solids, shot.dice, size, frames, step)
        if views is not None:
            return Clip(id=f"synthetic/{seed}", frames=film(seed, shot, views, bank, size))
    raise OptionError(
        f"of {ATTEMPTS} scenes none has room for {frames} frames {step} m apart; "
        "ask for fewer or smaller steps"
    )


def film(
    seed: int, shot: Shot, views: list[View], bank: TextureBank, size: tuple[int, int]
) -> tuple[Sample, ...]:
    """Take the frames of a walk with one lens, exposed for the first."""
    haze = choose_haze(shot)
    lens = replace(choose_lens(shot.dice, shot.draw), vignette=0.0, shake=0.0, fringe=0.0)
    level, samples = None, []
    for k, view in enumerate(views):
        buffers = draw_scene(shot.scene, view, bank, size, even_chance(*size, RAYS, shot.draw))
        colours = through_air(buffers, shot.scene, haze)
        level = level_of(colours) if level is None else level
        image = expose(colours, lens, level, shot.draw)
        samples.append(as_sample(f"synthetic/{seed}/{k:06d}", image, buffers, view))
    return tuple(samples)
