"""The sky of a surface: a backdrop far behind everything else, in the sky's own colours."""

import math
from dataclasses import dataclass, replace

import numpy as np

from rilievo.arrays.shapes import Float32, Int, Mask
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.cameras.lens import Pinhole
from rilievo.geometry.surfaces.lattice import Cut, sample_range
from rilievo.geometry.surfaces.meshes import Mesh, mesh
from rilievo.io.outputs.grid import square_maxima
from rilievo.io.outputs.sky import surface_sky
from rilievo.records.prediction_record import PredictionRecord

_WITHOUT_CUTS = Cut(grazing=0.0, jump=1e9)
_SKY_CELLS = 48
"""Cells along the longer side of the sky's surface."""
_BLENDED_PIXELS = 3
"""Pixels at the border of the sky in which photographs blend it with what stands before it."""
_SKY_BELOW = 1 / 12
"""How far the sky's surface continues below the sky, as a fraction of the height."""
_SKY_DISTANCE = 2.0
"""Depth of the sky relative to the 98th percentile of the other depths."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkyPlane:
    """Where the backdrop for a sky is, and where its colours come from.

    Attributes:
        depth: Depth of the backdrop, in the unit of the surface before it.
        step: Step between the pixels that become vertices.
        mask: Pixels that the backdrop covers, from the top edge to a little below the sky.
        sure_sky: Pixels that are certainly sky.
        sure_radius: Pixels up to this distance from those of ``sure_sky`` are sky, too [px].
        middle: Column and row of a pixel of the sky, which colours the backdrop if no vertex is
            certainly sky.
    """

    depth: float
    step: int
    mask: Mask
    sure_radius: int
    sure_sky: Mask
    middle: tuple[int, int]


def sky_plane(
    prediction: PredictionRecord,
    surface_depths: Float32[np.ndarray, "n"],
    drops: tuple[str, ...],
) -> SkyPlane | None:
    """Find the backdrop of a prediction.

    It is None without a sky or a photograph, and if ``drops`` names the sky. ``surface_depths`` are
    the depths of all pixels of the surface before it.
    """
    photo = prediction.photo
    if photo is None or "sky" in drops:
        return None
    sky = surface_sky(prediction)
    if not sky.any() or not surface_depths.size:
        return None
    step = math.ceil(max(sky.shape) / _SKY_CELLS)
    sky_rows, sky_columns = np.nonzero(sky)  # in reading order, so the last row comes last
    mask = np.ones(sky.shape, bool) if photo.transparent is None else ~photo.transparent
    first_row_below = sky_rows[-1] + round(_SKY_BELOW * len(sky))
    mask[first_row_below:] = False
    sure_radius = max(step, _BLENDED_PIXELS)
    middle = len(sky_rows) // 2
    # A percentile, because a few pixels may be much too far.
    far_depth = np.percentile(surface_depths, 98)
    return SkyPlane(
        depth=float(np.float32(_SKY_DISTANCE * far_depth)),
        step=step,
        mask=mask,
        sure_radius=sure_radius,
        sure_sky=_erode(sky, sure_radius),
        middle=(int(sky_columns[middle]), int(sky_rows[middle])),
    )


def sky_backdrop(
    prediction: PredictionRecord,
    surface_depths: Float32[np.ndarray, "n"],
    camera: Camera,
    drops: tuple[str, ...],
) -> Mesh | None:
    """Make a backdrop of constant depth, from the top edge to a little below the sky.

    Behind a pinhole camera it reaches the edges of the photograph; behind other lenses it ends up
    to half a step before them. Each of its vertices gets the colour of the nearest pixel that is
    certainly sky. It is None where ``sky_plane`` finds none, whose arguments these are.
    """
    plane = sky_plane(prediction, surface_depths, drops)
    if plane is None:
        return None
    height, width = plane.mask.shape
    depth = np.full((height, width), np.float32(plane.depth))
    surface = mesh(depth, camera, plane.mask, step=plane.step, cut=_WITHOUT_CUTS)
    if isinstance(camera.lens, Pinhole):
        surface = _up_to_edges(surface, plane, camera)

    columns, rows = np.rint(surface.pixels.T).astype(int)
    # The last column of a full panorama's surface is its first one again.
    columns, rows = columns % width, rows.clip(0, height - 1)
    is_source = plane.sure_sky[rows, columns]
    if not is_source.any():
        middle = np.array(plane.middle, np.float32)
        return replace(surface, pixels=np.tile(middle, (len(surface.pixels), 1)))
    candidates = surface.pixels[is_source]
    nearest = candidates[_nearest_points(surface.pixels, candidates)]
    return _without_stretched_colours(surface, nearest, max_distance=2 * plane.sure_radius)


def _up_to_edges(surface: Mesh, plane: SkyPlane, camera: Camera) -> Mesh:
    """Move the outermost vertices to the edges of the photograph, half a step away."""
    height, width = plane.mask.shape
    pixels = surface.pixels.copy()
    for axis, length in enumerate((width, height)):
        samples = sample_range(length, plane.step)
        pixels[surface.pixels[:, axis] == samples[0], axis] = 0
        pixels[surface.pixels[:, axis] == samples[-1], axis] = length - 1
    points = camera.rays(pixels.T).T * plane.depth
    return replace(surface, points=points.astype(np.float32), pixels=pixels)


def _erode(mask: Mask, radius: int) -> Mask:
    """Erode a mask by a square that extends ``radius`` pixels to each side."""
    return square_maxima((~mask).astype(np.float32), radius) == 0


def _nearest_points(
    points: Float32[np.ndarray, "n 2"], candidates: Float32[np.ndarray, "k 2"]
) -> Int[np.ndarray, "n"]:
    """Index of the candidate that is nearest to each point."""
    squared_distance = np.subtract.outer(points[:, 0], candidates[:, 0]) ** 2
    squared_distance += np.subtract.outer(points[:, 1], candidates[:, 1]) ** 2
    return squared_distance.argmin(axis=1)


def _without_stretched_colours(
    surface: Mesh, pixels: Float32[np.ndarray, "n 2"], max_distance: float
) -> Mesh:
    """Colour a mesh by pixels of its vertices, but no triangle by what lies between far pixels.

    The nearest pixels of the sky to the left and to the right of a tower have the tower between
    them. Where pixels of a triangle are more than ``max_distance`` apart, its corners get the pixel
    that is farthest left, so some vertices are there twice.
    """
    # Axes: triangles, corners, and (column, row).
    corner_pixels = pixels[surface.triangles]
    is_stretched = np.any(np.ptp(corner_pixels, axis=1) > max_distance, axis=1)
    leftmost = corner_pixels[..., 0].argmin(axis=1)[:, None]
    leftmost_pixels = np.take_along_axis(corner_pixels, leftmost[..., None], axis=1)
    is_near_leftmost = np.all(abs(corner_pixels - leftmost_pixels) <= max_distance, axis=2)
    # If both others are near the leftmost pixel, they are far from each other, so they change, too.
    are_all_near = np.all(is_near_leftmost, axis=1, keepdims=True)
    keeps_pixel = ~is_stretched[:, None] | (is_near_leftmost & ~are_all_near)
    leftmost_vertex = np.take_along_axis(surface.triangles, leftmost, axis=1)
    coloured_as = np.where(keeps_pixel, surface.triangles, leftmost_vertex)

    # Each pair of a vertex and the vertex whose colour it has becomes a vertex.
    pairs = np.stack([surface.triangles.ravel(), coloured_as.ravel()], axis=1)
    distinct_pairs, new_corners = np.unique(pairs, axis=0, return_inverse=True)
    vertex, colour_vertex = distinct_pairs.T
    return replace(
        surface,
        points=surface.points[vertex],
        normals=surface.normals[vertex],
        pixels=pixels[colour_vertex],
        triangles=new_corners.reshape(-1, 3).astype(np.int32),
    )


def join_meshes(sky: Mesh, surface: Mesh) -> Mesh:
    """Put the triangles of a sky before those of a surface."""
    sky_points = len(sky.points)
    return replace(
        surface,
        points=np.concatenate([sky.points, surface.points]),
        normals=np.concatenate([sky.normals, surface.normals]),
        pixels=np.concatenate([sky.pixels, surface.pixels]),
        triangles=np.concatenate([sky.triangles, surface.triangles + np.int32(sky_points)]),
        backdrop=len(sky.triangles),
    )
