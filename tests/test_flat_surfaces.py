"""Meshes with fewer triangles on flat parts: no crack, no overlap, no point off the surface."""

import numpy as np
import pytest

from rilievo.geometry.surfaces.meshes import Mesh, mesh
from support.analytic import camera_matrix, pixel_rays, sphere

HEIGHT, WIDTH = 97, 130
K = camera_matrix(HEIGHT, WIDTH, 120.0)
ALL = np.ones((HEIGHT, WIDTH), bool)


def rays() -> np.ndarray:
    v, u = np.mgrid[:HEIGHT, :WIDTH].astype(np.float64)
    return np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones_like(u)])


def plane(normal: tuple[float, float, float], distance: float) -> np.ndarray:
    return (distance / np.einsum("c,chw->hw", np.array(normal), rays())).astype(np.float32)


def directed_area(surface: Mesh) -> float:
    """Area in the image; triangles that overlap or leave a gap change it."""
    a, b, c = (surface.pixels[surface.triangles[:, k]].astype(np.float64) for k in range(3))
    (px, py), (qx, qy) = (b - a).T, (c - a).T
    signed = -(px * qy - py * qx) / 2
    assert (signed > 0).all()
    return float(signed.sum())


def border_edges(surface: Mesh) -> set[tuple[int, int]]:
    """Directed edges that no other triangle has the other way round."""
    t = surface.triangles
    edges = np.concatenate([t[:, [0, 1]], t[:, [1, 2]], t[:, [2, 0]]])
    have = {(int(a), int(b)) for a, b in edges}
    assert len(have) == len(edges)
    return {(a, b) for a, b in have if (b, a) not in have}


def test_a_plane_needs_few_triangles_and_stays_whole() -> None:
    depth = plane((0.2, -0.3, 1.0), 2.0)
    many, few = mesh(depth, K, ALL), mesh(depth, K, ALL, flatness=1e-4)
    assert len(few.triangles) < len(many.triangles) / 5
    assert directed_area(few) == pytest.approx((HEIGHT - 1) * (WIDTH - 1))
    first, second = few.pixels[np.array(sorted(border_edges(few)))].swapaxes(0, 1)
    on_rim = (first == second) & ((first == 0) | (first == [WIDTH - 1, HEIGHT - 1]))
    assert on_rim.any(axis=1).all()


def test_a_curved_surface_keeps_to_the_tolerance() -> None:
    view = sphere(pixel_rays(K, HEIGHT, WIDTH), np.array([0.0, 0.0, 3.0]), 2.0)
    depth = view.depth.astype(np.float32)
    few = mesh(depth, K, view.seen, flatness=2e-3)
    assert len(few.triangles) < len(mesh(depth, K, view.seen).triangles)
    assert directed_area(few) == pytest.approx(directed_area(mesh(depth, K, view.seen)))
    middle = few.points[few.triangles].mean(axis=1)
    off = np.abs(np.linalg.norm(middle - [0, 0, 3], axis=1) - 2.0)
    assert off.max() < 3 * 2e-3 * 3


def test_no_triangle_bridges_an_edge() -> None:
    """A step whose sides are flat: blocks across it stay as they are, torn."""
    depth = np.where(np.arange(WIDTH) < 67, np.float32(2), np.float32(3)) * np.ones(
        (HEIGHT, 1), np.float32
    )
    few = mesh(depth, K, ALL, flatness=4e-3)
    z = few.points[few.triangles][:, :, 2]
    assert (z.max(axis=1) == z.min(axis=1)).all()
    assert directed_area(few) == pytest.approx((HEIGHT - 1) * (WIDTH - 2))


def test_nothing_is_merged_without_tolerance() -> None:
    depth = plane((0.0, 0.0, 1.0), 2.0)
    assert len(mesh(depth, K, ALL).triangles) == 2 * (HEIGHT - 1) * (WIDTH - 1)


@pytest.mark.parametrize("seed", range(3))
def test_tears_and_holes_stay_as_they_are(seed: int) -> None:
    rng = np.random.default_rng(seed)
    valid = rng.random((HEIGHT, WIDTH)) > 0.01
    depth = plane((0.1, 0.2, 1.0), 2.0) * np.where(rng.random((HEIGHT, WIDTH)) > 0.995, 2, 1)
    depth[40:60, 30:77] *= 3
    many, few = (mesh(depth.astype(np.float32), K, valid, flatness=f) for f in (0.0, 1e-3))
    assert len(few.triangles) < len(many.triangles)
    assert directed_area(few) == pytest.approx(directed_area(many))
    first, second = (
        {tuple(sorted(map(tuple, each.pixels[list(edge)]))) for edge in border_edges(each)}
        for each in (many, few)
    )

    def inside(edges: set[tuple[tuple[float, ...], ...]]) -> set[tuple[tuple[float, ...], ...]]:
        far = (0, WIDTH - 1), (0, HEIGHT - 1)
        return {edge for edge in edges if not any(p[k] in far[k] for p in edge for k in (0, 1))}

    # More in the second would be cracks, where a side meets two shorter ones.
    assert inside(first) == inside(second)
