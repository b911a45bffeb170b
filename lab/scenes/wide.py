"""Renders wide frames: panoramas and fisheyes with exact distance.

Distance and normals come from one ray a pixel, traced exactly. Colours are taken from six
perspective pictures around the same place, which is enough for colours and lets one lamp, sky and
mirror look the same everywhere.
"""

from dataclasses import replace
from typing import no_type_check

import numpy as np
from jaxtyping import Float32, Float64

from lab.scenes.buffers import HORIZON, Paint, View
from lab.scenes.chance import scattered_chance
from lab.scenes.lens import Radiance, choose_lens, expose, level_of
from lab.scenes.patterns import SIDE
from lab.scenes.raycast import gather, kernel
from lab.scenes.renderer import (
    ATTEMPTS,
    LINEAR,
    Shot,
    choose_haze,
    default_textures,
    draw_scene,
    shots,
    through_air,
)
from lab.scenes.shading import surface
from lab.scenes.textures import TextureBank
from lab.scenes.tracer import trace
from lab.scenes.venue import Kind
from rilievo.errors import OptionError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.lens import Lens
from rilievo.geometry.transforms import rigid
from rilievo.models.wide_photographs.sphere_views import SphereView as Face
from rilievo.models.wide_photographs.sphere_views import cube_views, sample_bilinear
from rilievo.records.sample import Sample

CLEARANCE = 0.25
"""Least distance to a surface [m]; nearer ones would fill half of the frame."""
_VIEW = (192, 256)
"""(height, width) for which the place of the camera is chosen, as for ordinary frames."""
_FACE_DEGREES = 100.0


def render_wide(
    seed: int,
    lens: Lens,
    size: tuple[int, int],
    *,
    textures: TextureBank | None = None,
    kind: Kind = Kind.ALL,
    upright: bool = True,
) -> Sample:
    """Render a random scene through a lens that sees far to the sides.

    Args:
        seed: The same seed and arguments give the same sample.
        lens: Lens of the frame.
        size: (height, width) [px].
        textures: Texture bank; by default one made from scikit-image's free photographs.
        kind: Kind of scene.
        upright: Whether the camera is level; else it is inclined as for an ordinary frame.

    Returns:
        A sample with exact depth as the lens has it (the distance for fisheyes and panoramas),
        normals, sky, camera and pose.
    """
    bank = default_textures() if textures is None else textures
    for shot in shots(seed, bank, _VIEW, kind):
        turn = levelled(shot.view.turn) if upright else shot.view.turn.astype(np.float64)
        traced = _traced(shot, turn, lens, size, bank)
        if traced.distance[traced.row >= 0].min(initial=np.inf) >= CLEARANCE:
            return _sample(f"synthetic/wide/{seed}", shot, turn, lens, traced, bank)
    raise OptionError(f"of {ATTEMPTS} scenes of seed {seed} none has room for a wide frame")


def levelled(turn: Float32[np.ndarray, "3 3"]) -> Float64[np.ndarray, "3 3"]:
    """world_R_cam of a level camera that looks the same way; the world's z axis points up."""
    ahead = np.array([turn[0, 2], turn[1, 2], 0.0], np.float64)
    ahead /= np.linalg.norm(ahead)
    down = np.array([0.0, 0.0, -1.0])
    return np.stack([np.cross(down, ahead), down, ahead], axis=1)


class _Traced:
    """Rays of a frame, what they hit (row -1 for the sky) and how far away it is."""

    def __init__(
        self, rays: Float64[np.ndarray, "3 h w"], turn: Float64[np.ndarray, "3 3"]
    ) -> None:
        self.length = np.linalg.norm(rays, axis=0)
        has_ray = np.isfinite(self.length)
        ahead = np.array([0.0, 0.0, 1.0])[:, None, None]
        self.own = np.where(has_ray, rays / self.length, ahead)
        self.world = np.tensordot(turn, self.own, 1)
        self.has_ray = has_ray
        shape = self.length.shape
        self.distance = np.zeros(shape)
        self.row = np.full(shape, -1, np.int32)
        self.normal = np.zeros((*shape, 3))


def _traced(
    shot: Shot,
    turn: Float64[np.ndarray, "3 3"],
    lens: Lens,
    size: tuple[int, int],
    bank: TextureBank,
) -> _Traced:
    v, u = np.mgrid[: size[0], : size[1]].astype(np.float64)
    found = _Traced(lens.rays(np.stack([u, v])), turn)
    scene = shot.scene
    paint = Paint(texels=bank.texels, linear=LINEAR, side=SIDE)
    directions = np.ascontiguousarray(np.moveaxis(found.world, 0, 2))
    trace_rays(
        scene.solids, scene.meshes, scene.materials, paint, shot.view.origin, directions,
        found.distance, found.row, found.normal,
    )  # fmt: skip
    found.row[~found.has_ray] = -1
    return found


@kernel
@no_type_check
def trace_rays(solids, meshes, materials, paint, origin, directions, distance, rows, normals):
    """Write distance [m], solid and normal of the first hit along each unit direction."""
    height, width, _ = directions.shape
    listed = np.arange(len(solids)).astype(np.int32)
    balls = gather(solids, listed, len(solids))
    ox, oy, oz = origin[0], origin[1], origin[2]
    for v in range(height):
        for u in range(width):
            dx, dy, dz = directions[v, u, 0], directions[v, u, 1], directions[v, u, 2]
            t, row, face = trace(
                solids, meshes, listed, balls, ox, oy, oz, dx, dy, dz, 1e-3, HORIZON, False
            )
            if row < 0:
                continue
            distance[v, u], rows[v, u] = t, row
            nx, ny, nz, _, _, _, _ = surface(
                solids, meshes, materials, paint.texels, paint.linear, paint.side, row, face,
                ox + t * dx, oy + t * dy, oz + t * dz, dx, dy, dz, 0.01,
            )  # fmt: skip
            normals[v, u, 0], normals[v, u, 1], normals[v, u, 2] = nx, ny, nz


def _sample(
    id: str,
    shot: Shot,
    turn: Float64[np.ndarray, "3 3"],
    lens: Lens,
    traced: _Traced,
    bank: TextureBank,
) -> Sample:
    seen = traced.row >= 0
    colours = _colours(shot, turn, traced, bank, lens)
    # What differs between the middle and the rim of a picture would show where faces meet.
    camera = replace(
        choose_lens(shot.dice, shot.draw), vignette=0.0, shake=0.0, fringe=0.0, blur=0.0, bloom=0.0
    )
    image = expose(colours, camera, level_of(colours), shot.draw)
    image[~traced.has_ray] = 0
    normals = traced.normal @ turn
    return Sample(
        id=id,
        image=image,
        depth=np.where(seen, traced.distance / traced.length, 0).astype(np.float32),
        depth_valid=seen,
        normals=np.ascontiguousarray(normals.transpose(2, 0, 1), dtype=np.float32),
        normals_valid=seen,
        sky=~seen & traced.has_ray,
        camera=Camera(lens=lens),
        world_T_cam=rigid(turn, shot.view.origin.astype(np.float64)),
    )


def _colours(
    shot: Shot,
    turn: Float64[np.ndarray, "3 3"],
    traced: _Traced,
    bank: TextureBank,
    lens: Lens,
) -> Radiance:
    """Linear RGB of every pixel, from the face of a cube that it looks through."""
    haze = choose_haze(shot)
    faces = cube_views(_FACE_DEGREES)
    side = 16 * max(4, round(2.2 * faces[0].tangent * lens.focal / 16))
    chance = scattered_chance(side, side)
    out = np.zeros((*traced.length.shape, 3), np.float32)
    towards = np.stack([np.tensordot(face.turn[:, 2], traced.own, 1) for face in faces])
    nearest = towards.argmax(axis=0)
    for number, face in enumerate(faces):
        chosen = nearest == number
        if not (chosen & traced.has_ray).any():
            continue
        view = _pinhole(shot.view, turn @ face.turn, face, side)
        buffers = draw_scene(shot.scene, view, bank, (side, side), chance)
        light = through_air(buffers, shot.scene, haze)
        x, y, z = face.turn.T @ traced.own[:, chosen]
        out[chosen] = sample_bilinear(
            light, view.focal * x / z + view.cx, view.focal * y / z + view.cy
        )
    return out


def _pinhole(at: View, turn: Float64[np.ndarray, "3 3"], face: Face, side: int) -> View:
    K = face.K(side)
    return View(
        origin=at.origin,
        turn=turn.astype(np.float32),
        focal=float(K[0, 0]),
        cx=float(K[0, 2]),
        cy=float(K[1, 2]),
    )
