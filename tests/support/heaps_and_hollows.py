"""Boxes, heaps and hollows of known volume on or in the ground, traced ray by ray.

The camera stands at the origin of its own frame; the ground is at right angles to ``up``.
"""

import math
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.spatial import ConvexHull

import rilievo
from support.traced_objects import Cuboid, TracedScene, View, trace_scene, turned

Outline = list[tuple[float, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cone:
    """Upright cone, as of sand that was poured out."""

    centre: tuple[float, float, float]
    radius: float
    height: float

    def trace(self, origin: np.ndarray, rays: np.ndarray) -> np.ndarray:
        # On its surface, x² + z² = slope² (height - y)².
        slope = self.radius / self.height
        x, y, z = origin - np.array(self.centre)
        right, up, ahead = rays.T
        a = right**2 + ahead**2 - slope**2 * up**2
        b = right * x + ahead * z + slope**2 * up * (self.height - y)
        c = x**2 + z**2 - slope**2 * (self.height - y) ** 2
        root = np.sqrt(np.maximum(b**2 - a * c, 0))
        nearest = np.full(len(rays), np.inf)
        for t in ((-b - root) / a, (-b + root) / a):
            at_height = y + t * up
            is_hit = (b**2 > a * c) & (t > 0) & (at_height >= 0) & (at_height <= self.height)
            nearest = np.where(is_hit, np.minimum(nearest, t), nearest)
        return nearest

    def reach(self, axis: np.ndarray) -> tuple[float, float]:
        middle = float(axis @ np.array(self.centre))
        return middle - self.radius, middle + self.radius

    @property
    def volume(self) -> float:
        return math.pi * self.radius**2 * self.height / 3


@dataclass(frozen=True, slots=True, kw_only=True)
class SphericalHollow:
    """Hollow in the ground that is the lower part of a sphere, with a round rim.

    The centre of the rim lies on the ground at (x, z).
    """

    x: float
    z: float
    rim_radius: float
    depth: float

    @property
    def volume(self) -> float:
        return math.pi * self.depth / 6 * (3 * self.rim_radius**2 + self.depth**2)

    def carve(self, scene: TracedScene, view: View) -> TracedScene:
        """Scene of a bare ground with this hollow."""
        radius = (self.rim_radius**2 + self.depth**2) / (2 * self.depth)
        v, u = np.indices(view.size)
        rays = np.einsum("ij,jhw->ihw", view.world_R_cam, view.camera.rays(np.stack([u, v]) * 1.0))
        start = np.array([-self.x, view.height - (radius - self.depth), -self.z])
        a, b = np.square(rays).sum(axis=0), np.einsum("c,chw->hw", start, rays)
        inner = b**2 - a * (start @ start - radius**2)
        leave = (-b + np.sqrt(np.maximum(inner, 0))) / a
        ground = scene.depth
        x, z = rays[0] * ground - self.x, rays[2] * ground - self.z
        mask = np.hypot(x, z) < self.rim_radius
        return TracedScene(
            depth=np.where(mask, leave, ground), mask=mask, camera=view.camera, sizes={}
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VolumeScene:
    """Scene of one object, with its outline in the picture [px] and its true volume [m³]."""

    traced: TracedScene
    outline: Outline
    volume: float

    def prediction(self, depth: np.ndarray | None = None, **options: object) -> rilievo.Prediction:
        """Prediction from the exact depth, or from another one."""
        values = self.traced.depth if depth is None else depth
        photo = np.random.default_rng(0).integers(0, 255, (*values.shape, 3), np.uint8)
        return rilievo.Prediction.from_depth(
            photo, values.astype(np.float32), self.traced.camera, **options
        )


def outline_of(mask: np.ndarray, margin: float) -> Outline:
    """Convex outline of a mask, a margin larger [px], with at most 40 corners."""
    rows, columns = np.nonzero(mask)
    points = np.stack([columns, rows], axis=1).astype(float)
    hull = points[ConvexHull(points).vertices]
    hull = hull[:: max(1, len(hull) // 40)]
    offsets = hull - hull.mean(axis=0)
    offsets *= 1 + margin / np.linalg.norm(offsets, axis=1, keepdims=True)
    return [(float(u), float(v)) for u, v in hull.mean(axis=0) + offsets]


def view_down(pitch: float, height: float = 1.5) -> tuple[View, float]:
    """View down at an angle [degrees], and how far ahead its axis meets the ground [m]."""
    return View(height=height, pitch=pitch), height / math.tan(math.radians(pitch))


def box_scene(
    sides: tuple[float, float, float], pitch: float, yaw: float = 20.0, x: float = 0.05
) -> VolumeScene:
    """Box of a width, height and depth on the ground."""
    view, ahead = view_down(pitch)
    cuboid = Cuboid(centre=(x, sides[1] / 2, ahead), sides=sides, R=turned(yaw))
    scene = trace_scene([cuboid], view=view)
    return VolumeScene(
        traced=scene, outline=outline_of(scene.mask, 4), volume=float(np.prod(sides))
    )


def cone_scene(radius: float, height: float, pitch: float, x: float = 0.05) -> VolumeScene:
    """Cone on the ground."""
    view, ahead = view_down(pitch)
    cone = Cone(centre=(x, 0, ahead), radius=radius, height=height)
    scene = trace_scene([cone], view=view)
    return VolumeScene(traced=scene, outline=outline_of(scene.mask, 4), volume=cone.volume)


def hollow_scene(rim_radius: float, depth: float, pitch: float, x: float = 0.05) -> VolumeScene:
    """Hollow in the ground, like a bowl."""
    view, ahead = view_down(pitch)
    bare = trace_scene([Cone(centre=(50, 0, 0), radius=1, height=1)], view=view)
    hollow = SphericalHollow(x=x, z=ahead, rim_radius=rim_radius, depth=depth)
    scene = hollow.carve(bare, view)
    return VolumeScene(traced=scene, outline=outline_of(scene.mask, 1), volume=hollow.volume)


def sensor_depth(depth: np.ndarray, generator: np.random.Generator) -> np.ndarray:
    """Depth as a depth camera measures it, whose error eight in ten pixels stay below 2%.

    Most of the error is common to all pixels. The rest changes smoothly over some 20 px, and the
    pixels have noise of their own.
    """
    common = generator.normal(0, 0.019 / 1.2816)
    smooth = gaussian_filter(generator.standard_normal(depth.shape), 20, mode="wrap")
    smooth *= 0.006 / 1.2816 / smooth.std()
    noise = generator.normal(0, 0.002, depth.shape)
    return depth * (1 + common + smooth + noise)
