"""Surfaces that a pinhole camera sees, solved ray by ray, to hold computed ones against.

Nothing here comes from ``rilievo``: rays, depths and normals are worked out from the definitions.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Depth [m] (inf where nothing is seen), normals towards the camera, and the part seen.

    ``part`` counts the surfaces in the order in which they were given to ``nearest``; the faces of
    a box are told apart by their normals.
    """

    depth: np.ndarray
    normals: np.ndarray
    part: np.ndarray

    @property
    def seen(self) -> np.ndarray:
        return np.isfinite(self.depth)


def camera_matrix(height: int, width: int, focal: float) -> np.ndarray:
    return np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1.0]])


def pixel_rays(K: np.ndarray, height: int, width: int) -> np.ndarray:
    """Directions with z = 1, so that the length along one is depth."""
    v, u = np.mgrid[:height, :width].astype(float)
    return np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(u)])


def plane(rays: np.ndarray, normal: np.ndarray, distance: float) -> View:
    """The plane n·p = -distance, for a normal on the camera's side."""
    slope = np.einsum("i,ihw->hw", normal, rays)
    seen = slope < -1e-12
    depth = np.where(seen, -distance / np.where(seen, slope, -1.0), np.inf)
    return _view(depth, np.broadcast_to(normal[:, None, None], rays.shape))


def sphere(rays: np.ndarray, centre: np.ndarray, radius: float) -> View:
    aa = (rays * rays).sum(0)
    ab = np.einsum("i,ihw->hw", centre, rays)
    root = ab * ab - aa * (centre @ centre - radius * radius)
    seen = root > 0
    depth = np.where(seen, (ab - np.sqrt(np.where(seen, root, 0))) / aa, np.inf)
    points = rays * np.where(seen, depth, 0)
    return _view(depth, (points - centre[:, None, None]) / radius)


def box(rays: np.ndarray, centre: np.ndarray, half: np.ndarray, R: np.ndarray) -> View:
    """A box from outside; the columns of ``R`` are its axes, ``half`` its half sides [m]."""
    local = np.einsum("ji,jhw->ihw", R, rays)
    origin = -R.T @ centre
    with np.errstate(divide="ignore", invalid="ignore"):
        ends = (np.stack([-half, half])[:, :, None, None] - origin[:, None, None]) / local
    near = ends.min(0)
    axis = near.argmax(0)
    enter, leave = near.max(0), ends.max(0).min(0)
    depth = np.where((enter < leave) & (enter > 0), enter, np.inf)
    away = np.sign(np.take_along_axis(local, axis[None], 0)[0])
    return _view(depth, -R[:, axis] * away)


def nearest(*views: View) -> View:
    first = np.argmin([view.depth for view in views], axis=0)
    rows, columns = np.indices(first.shape)
    depth = np.stack([view.depth for view in views])[first, rows, columns]
    normals = np.stack([view.normals for view in views])[first, :, rows, columns]
    return View(
        depth=depth,
        normals=np.moveaxis(normals, -1, 0),
        part=np.where(np.isfinite(depth), first, -1),
    )


def angle(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Angle [degrees] between fields of unit vectors, exact for small ones."""
    chord = np.linalg.norm(np.asarray(first, float) - second, axis=0)
    return np.degrees(2 * np.arcsin(np.clip(chord / 2, 0, 1)))


def _view(depth: np.ndarray, normals: np.ndarray) -> View:
    return View(depth=depth, normals=normals, part=np.where(np.isfinite(depth), 0, -1))
