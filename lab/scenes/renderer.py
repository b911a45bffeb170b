"""Renders one frame: a random scene, a camera in it, an image with exact depth and normals."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import UInt8

from lab.scenes.bathrooms import bathroom
from lab.scenes.buffers import (
    LIGHTS,
    Buffers,
    Chance,
    Lamps,
    Paint,
    View,
    blank_buffers,
)
from lab.scenes.cameras import choose_view
from lab.scenes.car_streets import car_street
from lab.scenes.cast_shadows import cast_shadow
from lab.scenes.chance import scattered_chance
from lab.scenes.closeups import close_up, portrait
from lab.scenes.cut_foregrounds import cut_foreground
from lab.scenes.dark_rooms import dark_room
from lab.scenes.desks import desk_view
from lab.scenes.dice import Dice
from lab.scenes.false_edges import false_edges
from lab.scenes.flat_pictures import flat_picture
from lab.scenes.frame import (
    arriving,
    colour_frame,
    smooth_light,
    soften_edges,
    trace_frame,
)
from lab.scenes.heads import heads
from lab.scenes.lattices import lattices
from lab.scenes.layouts import furnished_view
from lab.scenes.leaves import leaves
from lab.scenes.lens import (
    Radiance,
    choose_lens,
    defocused,
    dimmed,
    expose,
    flaring,
    fog,
    level_of,
)
from lab.scenes.near import near_view
from lab.scenes.near_occluders import near_occluder
from lab.scenes.nights import night_street
from lab.scenes.outdoors import meadow, street
from lab.scenes.pale_skies import pale_sky
from lab.scenes.passages import corridor_view, low_view
from lab.scenes.patterns import SIDE
from lab.scenes.pictures import scikit_image_photographs
from lab.scenes.reflection import lay_over, reflect_frame
from lab.scenes.robot_floors import robot_floor
from lab.scenes.rooms import room
from lab.scenes.scene import Ambience, Light, Scene
from lab.scenes.shadowed_grounds import shadowed_ground
from lab.scenes.skies import dramatic, overcast, sky
from lab.scenes.skylines import skyline
from lab.scenes.stage import Stage
from lab.scenes.still_lifes import still_life
from lab.scenes.subjects import subject_view
from lab.scenes.textured_bodies import textured_body
from lab.scenes.textures import TextureBank, make_textures
from lab.scenes.turned_corridors import turned_corridor
from lab.scenes.venue import Kind, Venue
from lab.scenes.wires import behind_wire
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.geometry.transforms import rigid
from rilievo.records.sample import Sample

VENUES = {
    Kind.ROOMS: (room, 0.65),
    Kind.CLOSE_UPS: (close_up, 0.06),
    Kind.PEOPLE: (portrait, 0.04),
    Kind.STREETS: (street, 0.15),
    Kind.OPEN_GROUND: (meadow, 0.10),
    Kind.NEAR_VIEWS: (near_view, 0.0),
    Kind.FURNISHED: (furnished_view, 0.0),
    Kind.BATHROOMS: (bathroom, 0.0),
    Kind.DESKS: (desk_view, 0.0),
    Kind.CORRIDORS: (corridor_view, 0.0),
    Kind.LOW_VIEWS: (low_view, 0.0),
    Kind.FALSE_EDGES: (false_edges, 0.0),
    Kind.PALE_SKIES: (pale_sky, 0.0),
    Kind.CAST_SHADOWS: (cast_shadow, 0.0),
    Kind.FLAT_PICTURES: (flat_picture, 0.0),
    Kind.SUBJECTS: (subject_view, 0.0),
    Kind.WIRES: (behind_wire, 0.0),
    Kind.NIGHTS: (night_street, 0.0),
    Kind.STILL_LIFES: (still_life, 0.0),
    Kind.CAR_STREETS: (car_street, 0.0),
    Kind.NEAR_OCCLUDERS: (near_occluder, 0.0),
    Kind.ROBOT_FLOORS: (robot_floor, 0.0),
    Kind.CUT_FOREGROUNDS: (cut_foreground, 0.0),
    Kind.DARK_ROOMS: (dark_room, 0.0),
    Kind.TURNED_CORRIDORS: (turned_corridor, 0.0),
    Kind.TEXTURED_BODIES: (textured_body, 0.0),
    Kind.HEADS: (heads, 0.0),
    Kind.SKYLINES: (skyline, 0.0),
    Kind.LATTICES: (lattices, 0.0),
    Kind.LEAVES: (leaves, 0.0),
    Kind.SHADOWED_GROUNDS: (shadowed_ground, 0.0),
}
"""Builder of each kind of venue, with its weight when all kinds are drawn. The last ones have no
weight, so that seeds of ``Kind.ALL`` keep their frames."""
ATTEMPTS = 1000
"""Most scenes to build; nearly all have a useful view, so this many failures would be a bug."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """A scene with a camera, and the random generators for the remaining draws."""

    scene: Scene
    view: View
    venue: Venue
    dice: Dice
    draw: np.random.Generator


def render(
    seed: int,
    *,
    size: tuple[int, int] = (192, 256),
    textures: TextureBank | None = None,
    kind: Kind = Kind.ALL,
) -> Sample:
    """Render a randomly generated scene.

    Args:
        seed: The same seed, size, textures and kind give the same sample.
        size: (height, width) [px].
        textures: Texture bank; by default one made from scikit-image's free photographs, once per
            process.
        kind: Kind of scene.

    Returns:
        A sample with exact depth, normals, sky, camera and pose; sky has neither depth nor
        normals. The world's z axis points up, and z = 0 is the floor or the ground.
    """
    bank = default_textures() if textures is None else textures
    shot = set_up(seed, bank, size, kind)
    buffers = draw_scene(shot.scene, shot.view, bank, size, scattered_chance(*size))
    colours = through_air(buffers, shot.scene, choose_haze(shot))
    lens = choose_lens(shot.dice, shot.draw)
    if shot.venue.flares:
        lens = flaring(lens, shot.dice)
    if shot.venue.dim:
        lens = dimmed(lens, shot.dice)
    if shot.venue.focus is not None:
        deviation = shot.venue.blur * max(size)
        colours = defocused(colours, buffers.depth, shot.venue.focus, deviation)
    image = expose(colours, lens, level_of(colours), shot.draw)
    return as_sample(f"synthetic/{seed}", image, buffers, shot.view)


@cache
def default_textures() -> TextureBank:
    """Texture bank made from scikit-image's free photographs, cached."""
    return make_textures(scikit_image_photographs())


def set_up(seed: int, bank: TextureBank, size: tuple[int, int], kind: Kind = Kind.ALL) -> Shot:
    """Build scenes until one has a useful view."""
    for shot in shots(seed, bank, size, kind):
        return shot
    raise AssertionError(f"{ATTEMPTS} scenes of seed {seed} offer no view worth taking")


def shots(seed: int, bank: TextureBank, size: tuple[int, int], kind: Kind) -> Iterator[Shot]:
    """Yield scenes of a seed that have a useful view."""
    builders, shares = zip(*VENUES.values(), strict=True)
    for attempt in range(ATTEMPTS):
        dice = Dice(f"{seed}/{attempt}")
        draw = np.random.default_rng([seed, attempt])
        drawn = dice.weighted(builders, shares)
        build = drawn if kind is Kind.ALL else VENUES[kind][0]
        venue = build(Stage(dice, bank.groups, bank.models))
        heaven = overcast if venue.overcast else dramatic if venue.dramatic else sky
        scene = Scene(
            solids=venue.stage.solids(),
            materials=venue.stage.materials(),
            lights=tuple(venue.stage.lights),
            ambience=venue.ambience,
            sky=np.float32(venue.daylight) * heaven(draw),
            meshes=bank.models.meshes,
        )
        view = choose_view(venue, scene, dice, size)
        if view is not None:
            yield Shot(scene=scene, view=view, venue=venue, dice=dice, draw=draw)


def choose_haze(shot: Shot) -> float:
    """Draw the density of fog [1/m]; always 0 indoors, and mostly 0 outdoors."""
    is_hazy = shot.venue.is_outdoors and shot.dice.chance(0.35)
    return shot.dice.log_uniform(0.0016, 0.025) if is_hazy else 0.0


def through_air(buffers: Buffers, scene: Scene, haze: float) -> Radiance:
    """Linear RGB that reaches the lens, after fog."""
    return fog(buffers.colour, buffers.depth, scene.sky, haze) if haze else buffers.colour


def draw_scene(
    scene: Scene, view: View, bank: TextureBank, size: tuple[int, int], chance: Chance
) -> Buffers:
    """Trace and colour a scene; ``colour`` of the buffers is linear RGB."""
    out = blank_buffers(*size)
    paint = Paint(texels=bank.texels, linear=LINEAR, side=SIDE)
    lamps = as_lamps(scene.lights, scene.ambience)
    trace_frame(scene.solids, scene.meshes, scene.materials, paint, view, lamps, chance, out)
    irradiance, highlight = light_on(out, lamps)
    colour_frame(scene.materials, scene.sky, irradiance, highlight, out)
    reflected = np.zeros_like(out.colour)
    if (scene.materials["mirror"] > 0)[out.material[out.face >= 0]].any():
        seen = blank_buffers(*size)
        reflect_frame(
            scene.solids, scene.meshes, scene.materials, paint, view, lamps, chance, out, seen
        )
        colour_frame(scene.materials, scene.sky, *light_on(seen, lamps), seen)
        lay_over(scene.materials, out, seen, reflected)
    softened = out.colour.copy()
    soften_edges(
        scene.solids, scene.meshes, scene.materials, paint, view, irradiance, highlight, reflected,
        out, softened,
    )  # fmt: skip
    return out._replace(colour=softened)


def light_on(out: Buffers, lamps: Lamps) -> tuple[Radiance, Radiance]:
    """Smoothed light at every pixel's point: irradiance and highlights."""
    rows, smoothed = np.zeros_like(out.light), np.zeros_like(out.light)
    smooth_light(out.face, out.lit, out.light, rows, np.zeros_like(out.depth), smoothed)
    irradiance, highlight = np.zeros_like(out.colour), np.zeros_like(out.colour)
    arriving(lamps, smoothed, out.normal, irradiance, highlight)
    return irradiance, highlight


def as_lamps(lights: Sequence[Light], ambience: Ambience) -> Lamps:
    """Convert lights to the arrays of the kernels."""
    position, colour = np.zeros((LIGHTS, 3), np.float32), np.zeros((LIGHTS, 3), np.float32)
    size, distant = np.zeros(LIGHTS, np.float32), np.zeros(LIGHTS, np.bool_)
    for k, light in enumerate(lights):
        position[k], colour[k] = light.position, light.colour
        size[k], distant[k] = light.size, light.distant
    return Lamps(
        lit=len(lights),
        position=position,
        size=size,
        distant=distant,
        colour=colour,
        direction=ambience.direction.astype(np.float32),
        bright=ambience.bright.astype(np.float32),
        dark=ambience.dark.astype(np.float32),
        reach=float(ambience.reach),
    )


def as_sample(id: str, image: UInt8[np.ndarray, "h w 3"], buffers: Buffers, view: View) -> Sample:
    """Convert buffers to a sample in the conventions of ``rilievo.records.sample``."""
    is_surface = buffers.face >= 0
    normals = buffers.normal @ view.turn
    K = np.array([[view.focal, 0.0, view.cx], [0.0, view.focal, view.cy], [0.0, 0.0, 1.0]])
    return Sample(
        id=id,
        image=image,
        depth=np.where(is_surface, buffers.depth, 0.0).astype(np.float32),
        depth_valid=is_surface,
        normals=np.ascontiguousarray(normals.transpose(2, 0, 1), dtype=np.float32),
        normals_valid=is_surface,
        sky=~is_surface,
        camera=Camera(K=K, source=CameraSource.GIVEN),
        world_T_cam=rigid(view.turn.astype(np.float64), view.origin.astype(np.float64)),
    )


LINEAR = ((np.arange(256) / 255) ** 2.2).astype(np.float32)
"""Linear value of each sRGB value."""
