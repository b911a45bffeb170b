"""Count triangles that bridge occluding edges of rendered scenes, whose depth is exact.

    python tools/count_bridges.py [MODEL ...] [--scenes 20] [--size 384x512]

A side of a triangle bridges an edge if the planes of the true surfaces at its two ends pass the
middle between them at depths more than 2 % apart: a crease does not, a step does. The true depth
and each model's answer, scaled by the median, are cut into surfaces. Printed are shares of the
triangles of all scenes: those that bridge an edge of more than 2 %, of more than 8 % (the jump at
which surfaces are torn), and strays, with a corner that differs by more than 2 % from all true
depths within 2 pixels. An edge that is torn a pixel beside its place counts as bridged, but has no
strays; in a model's answer most strays are wrong depth.
"""

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int
from numpy.lib.stride_tricks import sliding_window_view

import rilievo
from rilievo.geometry.surfaces.lattice import Cut
from rilievo.geometry.surfaces.surface import Mesh, mesh
from rilievo.models import DEFAULT_MODEL
from rilievo.models.base import Model
from rilievo.types import Sample
from scenes import make_textures, render, scikit_image_photographs

FIRST_SEED = 910_000
STEPS = (0.02, 0.08)
"""Relative steps between the true surfaces above which there is an edge."""
_NEAR = 2
CUTS = {"torn": Cut(), "torn, without specks": Cut(specks=2e-4)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """The true surface of a scene.

    Attributes:
        depth: z of every pixel.
        normals: Normal of every pixel.
        valid: Pixels that show a surface.
        K: Intrinsics of these pixels.
    """

    depth: Float32[np.ndarray, "h w"]
    normals: Float32[np.ndarray, "3 h w"]
    valid: Bool[np.ndarray, "h w"]
    K: Float64[np.ndarray, "3 3"]

    @classmethod
    def of(cls, sample: Sample) -> "Truth":
        """The truth of a rendered sample."""
        assert sample.depth is not None
        assert sample.depth_valid is not None
        assert sample.normals is not None
        assert sample.camera is not None
        return cls(
            depth=sample.depth,
            normals=sample.normals,
            valid=sample.depth_valid,
            K=sample.camera.K,
        )


def steps_between(
    truth: Truth, one: Int[np.ndarray, "n 2"], other: Int[np.ndarray, "n 2"]
) -> Float64[np.ndarray, "n"]:
    """Relative step of depth between the surfaces at pairs of pixels, halfway between them.

    Args:
        truth: The true surface.
        one: Column and row of one pixel of each pair.
        other: Column and row of the other.
    """
    middle = _rays((one + other) / 2, truth.K)
    near, far = (_depth_on(truth, pixel, middle) for pixel in (one, other))
    return np.abs(near - far) / np.minimum(near, far)


def bridging(surface: Mesh, truth: Truth, step: float) -> Bool[np.ndarray, "m"]:
    """Whether each triangle has a side that bridges a step of more than ``step``.

    Args:
        surface: Mesh of the same pixels, with its vertices in their middles.
        truth: The true surface.
        step: Least relative step of depth.
    """
    pixel = np.rint(surface.pixels).astype(np.int64)
    found = np.zeros(len(surface.triangles), bool)
    for one, other in ((0, 1), (1, 2), (2, 0)):
        ends = pixel[surface.triangles[:, one]], pixel[surface.triangles[:, other]]
        seen = truth.valid[ends[0][:, 1], ends[0][:, 0]] & truth.valid[ends[1][:, 1], ends[1][:, 0]]
        found[seen] |= steps_between(truth, ends[0][seen], ends[1][seen]) > step
    return found


def strays(surface: Mesh, depth: Float32[np.ndarray, "h w"], truth: Truth) -> Bool[np.ndarray, "m"]:
    """Whether each triangle has a corner that lies on no true surface within ``_NEAR`` pixels.

    Args:
        surface: Mesh of the depth map, with its vertices in the middles of pixels.
        depth: The depth map.
        truth: The true surface.
    """
    side = 2 * _NEAR + 1
    known = np.pad(np.where(truth.valid, truth.depth, np.inf), _NEAR, constant_values=np.inf)
    around = sliding_window_view(known, (side, side))
    own = depth[..., None, None]
    off = np.all(np.abs(around - own) > STEPS[0] * own, axis=(2, 3))
    u, v = np.rint(surface.pixels).astype(np.int64).T
    return off[v, u][surface.triangles].any(axis=1)


def _rays(pixels: Float64[np.ndarray, "n 2"], K: Float64[np.ndarray, "3 3"]) -> np.ndarray:
    u, v = pixels.T
    return np.stack([(u - K[0, 2]) / K[0, 0], (v - K[1, 2]) / K[1, 1], np.ones(len(u))], axis=1)


def _depth_on(
    truth: Truth, pixel: Int[np.ndarray, "n 2"], ray: Float64[np.ndarray, "n 3"]
) -> Float64[np.ndarray, "n"]:
    """Depth of a ray in the plane at a pixel; the pixel's own where it is seen edge-on."""
    u, v = pixel.T
    depth = truth.depth[v, u].astype(np.float64)
    normal = truth.normals[:, v, u].T.astype(np.float64)
    own = np.einsum("nc,nc->n", normal, _rays(pixel.astype(np.float64), truth.K))
    there = np.einsum("nc,nc->n", normal, ray)
    ratio = np.divide(own, there, out=np.ones_like(own), where=np.abs(there) > 1e-9)
    return depth * np.clip(ratio, 0.5, 2.0)


def depths(
    sample: Sample, truth: Truth, models: Sequence[Model]
) -> Iterator[tuple[str, Float32[np.ndarray, "h w"]]]:
    """Depth maps of a scene: the true one, and those of models."""
    # Where there is sky, there is the farthest surface.
    yield "true depth", np.where(truth.valid, truth.depth, truth.depth.max())
    for model in models:
        depth = rilievo.predict(sample.image, model=model, camera=sample.camera).depth.values
        both = truth.valid & (depth > 0)
        yield model.name, depth * np.median(truth.depth[both] / depth[both])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=[DEFAULT_MODEL])
    parser.add_argument("--scenes", type=int, default=20)
    parser.add_argument("--size", default="384x512", help="HEIGHTxWIDTH")
    given = parser.parse_args()
    height, width = map(int, given.size.split("x"))
    models = [rilievo.load_model(name) for name in given.models]
    bank = make_textures(scikit_image_photographs())
    counts: dict[tuple[str, str], np.ndarray] = {}
    for seed in range(FIRST_SEED, FIRST_SEED + given.scenes):
        sample = render(seed, size=(height, width), textures=bank)
        truth = Truth.of(sample)
        for name, depth in depths(sample, truth, models):
            for how, cut in CUTS.items():
                surface = mesh(depth, truth.K, truth.valid, normals=truth.normals, cut=cut)
                found = [bridging(surface, truth, step).sum() for step in STEPS]
                found.append(strays(surface, depth, truth).sum())
                row = counts.setdefault((name, how), np.zeros(4, np.int64))
                row += [len(surface.triangles), *found]
    print(f"{given.scenes} scenes of {width}x{height}\n")
    print("| depth | surface | triangles | bridge > 2 % | bridge > 8 % | stray |")
    print("|---|---|---|---|---|---|")
    for (name, how), (total, *found) in counts.items():
        shares = " | ".join(f"{100 * each / total:.3f} %" for each in found)
        print(f"| {name} | {how} | {total} | {shares} |")


if __name__ == "__main__":
    main()
