"""Score fused surfaces: ``RILIEVO_DATA=... python lab/studies/evaluate_fusion.py [kind:seed ...]``.

Surfaces of the fast model's depth, as of ``rilievo fuse``, against true depth fused the same way:
accuracy, completeness and F-score at 5 cm. With true poses: depth as points, and fused naively (one
scale a clip, taken from the truth, for both), and as ``rilievo fuse`` does (nothing taken from the
truth). With poses by geometry, as without ``--poses``, one similarity takes the surface to the
true one. The clips are the hand-held kitchen of 7-Scenes and rendered hand-held walks, such
as ``rooms:14``: every fifth of 150 frames.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64, UInt8
from PIL import Image

from lab.scenes.clip import render_clip
from lab.scenes.venue import Kind
from rilievo.data.fuse.clip_scale import clip_scale
from rilievo.data.fuse.clip_views import ClipView
from rilievo.data.fuse.collected_views import size_within_side
from rilievo.data.fuse.depth_agreement import make_depth_agree
from rilievo.data.fuse.fused_surface import fuse_views
from rilievo.data.motion.clip_motion import ClipTracker
from rilievo.data.trajectories.errors import Freedom, Similarity, fit_similarity
from rilievo.evaluation.metrics.cloud import cloud_accuracy, cloud_completeness, cloud_f_score
from rilievo.geometry.intrinsics import resize_K, unproject
from rilievo.geometry.transforms import transform
from rilievo.io.outputs.formats.gltf import TriangleMesh
from rilievo.models import FAST_MODEL, load_model
from rilievo.models.base import Model
from rilievo.models.resampling.preparation import shrink
from rilievo.records.sample import Photo

VOXEL = 0.02
FARTHEST = 6.0
THRESHOLD = 0.05
POINTS = 60_000
_FITS = 10
STRIDE = 5
RENDERED_FRAMES = 150
KINECT_DEPTH = np.array([[585.0, 0, 320], [0, 585, 240], [0, 0, 1]])
KINECT_COLOUR = np.array([[535.0, 0, 320], [0, 535, 240], [0, 0, 1]])
COLOUR_BESIDE_DEPTH = 0.03
"""Way [m] from the depth camera to the colour camera along x. Poses are the depth camera's, and the
two are not registered: of -5 to 5 cm and focal lengths of 515 to 585 px, this and 535 px make
neighbouring colour frames look most alike under measured depth."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shot:
    """One frame with its truth.

    Attributes:
        pixels: Picture.
        K: Intrinsics of the picture [px].
        world_T_cam: Pose of the picture.
        truth: View of measured depth, which may be that of another camera.
    """

    pixels: UInt8[np.ndarray, "h w 3"]
    K: Float64[np.ndarray, "3 3"]
    world_T_cam: Float64[np.ndarray, "4 4"]
    truth: ClipView


def kitchen(data: Path) -> list[Shot]:
    """Read every fifth frame of the hand-held kitchen of 7-Scenes."""
    shots, folder = [], data / "clip_7scenes"
    depth_T_colour = np.eye(4)
    depth_T_colour[0, 3] = COLOUR_BESIDE_DEPTH
    for path in sorted(folder.glob("*.color.jpg"))[::STRIDE]:
        stem = path.name.split(".")[0]
        pixels = np.asarray(Image.open(path).convert("RGB"))
        depth = np.asarray(Image.open(folder / f"{stem}.depth.png")).astype(np.float32) / 1000
        pose = np.loadtxt(folder / f"{stem}.pose.txt")
        truth = _view(stem, pixels, depth, KINECT_DEPTH, pose)
        shots.append(
            Shot(
                pixels=pixels,
                K=KINECT_COLOUR,
                world_T_cam=pose @ depth_T_colour,
                truth=truth,
            )
        )
    return shots


def rendered(kind: str, seed: int) -> list[Shot]:
    """Render a hand-held walk, and take every fifth frame."""
    shots = []
    # The seed of the first clip of `python -m lab.scenes --seed`, see Plan.seed_of.
    clip = render_clip(seed << 32, frames=RENDERED_FRAMES, kind=Kind(kind), hand_held=True)
    for frame in clip.frames[::STRIDE]:
        assert frame.camera is not None, "frames of a clip have all"
        assert frame.world_T_cam is not None, "the same"
        assert frame.depth is not None, "the same"
        depth = np.where(np.isfinite(frame.depth), frame.depth, 0).astype(np.float32)
        K, pose = frame.camera.K, frame.world_T_cam
        truth = _view(frame.id, frame.image, depth, K, pose)
        shots.append(Shot(pixels=frame.image, K=K, world_T_cam=pose, truth=truth))
    return shots


def _view(
    name: str,
    pixels: UInt8[np.ndarray, "h w 3"],
    depth: np.ndarray,
    K: Float64[np.ndarray, "3 3"],
    pose: Float64[np.ndarray, "4 4"],
) -> ClipView:
    """A view at the size of fusing; depth of 0.3 to 6 m counts."""
    size = size_within_side(depth.shape, 320)
    image = Image.fromarray(depth).resize((size[1], size[0]), Image.Resampling.NEAREST)
    small = np.asarray(image)
    valid = (small > 0.3) & (small < FARTHEST)
    return ClipView(
        name=name,
        pixels=shrink(pixels, size),
        depth=np.where(valid, small, np.float32(1)),
        valid=valid,
        K=resize_K(K, size=depth.shape, new_size=size),
        world_T_cam=pose,
    )


def predicted(model: Model, shot: Shot) -> ClipView:
    """Predict the view of a frame, in the model's own unit."""
    [answer] = model.infer([Photo(pixels=shot.pixels)])
    size = shot.truth.depth.shape
    small = Photo(pixels=shrink(shot.pixels, size))
    depth = model.finish(answer, small).depth
    return replace(
        shot.truth,
        pixels=small.pixels,
        depth=np.where(depth.valid, depth.values, np.float32(1)),
        valid=depth.valid,
        K=resize_K(shot.K, size=shot.pixels.shape[:2], new_size=size),
        world_T_cam=shot.world_T_cam,
    )


def tracked_views(
    views: Sequence[ClipView], truths: Sequence[ClipView]
) -> tuple[ClipView, ...] | None:
    """The views as they agree with poses by geometry; None where the motion is lost.

    One similarity for all of them, by the same pixels of the truth, is all that is taken from it.
    """
    tracker = ClipTracker(views[0].K)
    for view in views:
        tracker.add(view.pixels, np.where(view.valid, view.depth, np.float32(np.nan)))
    motion = tracker.motion()
    if motion.cuts:
        return None
    placed = [
        replace(view, world_T_cam=pose, depth=view.depth * np.float32(scale))
        for view, pose, scale in zip(
            views, np.linalg.inv(motion.cam_T_world), motion.scales, strict=True
        )
    ]
    together = make_depth_agree(placed, 1.0).views
    fit = fit_surfaces(together, truths)
    poses = fit.apply(np.stack([view.world_T_cam for view in together]))
    return tuple(
        replace(view, world_T_cam=pose, depth=(view.depth * fit.scale).astype(np.float32))
        for view, pose in zip(together, poses, strict=True)
    )


def fit_surfaces(views: Sequence[ClipView], truths: Sequence[ClipView]) -> Similarity:
    """Fit the similarity from views to the truth at the same pixels; the worst 30% do not count.

    The path of a short walk says too little of scale and turn: 11% of scale in a room of 1.3 m.
    """
    both = [view.valid & truth.valid for view, truth in zip(views, truths, strict=True)]
    p, q = (
        np.concatenate([_world(view)[:, ok].T for view, ok in zip(each, both, strict=True)])[::4]
        for each in (views, truths)
    )
    fit = _similarity(p, q)
    for _ in range(_FITS - 1):
        apart = np.linalg.norm(q - (fit.scale * p @ fit.R.T + fit.t), axis=1)
        kept = apart < np.quantile(apart, 0.7)
        fit = _similarity(p[kept], q[kept])
    return fit


def _similarity(p: Float64[np.ndarray, "n 3"], q: Float64[np.ndarray, "n 3"]) -> Similarity:
    """Least squares of points on points, as of the positions of poses."""
    estimate, true = (np.tile(np.eye(4), (len(points), 1, 1)) for points in (p, q))
    estimate[:, :3, 3], true[:, :3, 3] = p, q
    return fit_similarity(estimate, true, Freedom.SIMILARITY)


def _world(view: ClipView) -> Float64[np.ndarray, "3 h w"]:
    return transform(view.world_T_cam, unproject(view.depth.astype(np.float64), view.K))


def depth_points(views: Sequence[ClipView]) -> Float64[np.ndarray, "n 3"]:
    """Points of the depth of all views, as many as of surfaces; always the same ones."""
    every = []
    for view in views:
        near = view.valid & (view.depth < FARTHEST)
        every.append(_world(view)[:, near].T)
    joined = np.concatenate(every)
    return np.random.default_rng(0).choice(joined, min(POINTS, len(joined)), replace=False)


def points_of(mesh: TriangleMesh) -> Float64[np.ndarray, "n 3"]:
    """Points drawn evenly from a surface; always the same ones."""
    random = np.random.default_rng(0)
    a, b, c = (mesh.points[mesh.triangles[:, k]].astype(np.float64) for k in range(3))
    areas = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    chosen = random.choice(len(areas), POINTS, p=areas / areas.sum())
    u, v = random.random((2, POINTS, 1))
    outside = u + v > 1
    u, v = np.where(outside, 1 - u, u), np.where(outside, 1 - v, v)
    return a[chosen] + u * (b - a)[chosen] + v * (c - a)[chosen]


def _fused(views: Sequence[ClipView]) -> Float64[np.ndarray, "n 3"]:
    return points_of(fuse_views(views, voxel=VOXEL, max_depth=FARTHEST).mesh)


def score(name: str, model: Model, shots: Sequence[Shot]) -> float:
    """Print the scores of one clip; returns how many times the F-score of points is reached."""
    views = [predicted(model, shot) for shot in shots]
    ratios = [
        np.median(shot.truth.depth[both]) / np.median(view.depth[both])
        for shot, view in zip(shots, views, strict=True)
        if (both := shot.truth.valid & view.valid).any()
    ]
    scale = float(np.median(ratios))
    naive = [replace(view, depth=view.depth * np.float32(scale)) for view in views]
    found = clip_scale(views)
    if found is None:
        print(f"{name}: no scale is found")
        return 0.0
    together = make_depth_agree(views, found)
    true = _fused([shot.truth for shot in shots])
    print(
        f"{name}: {len(shots)} frames, scale {found:.3f} (truth {scale:.3f}), frames disagree by "
        f"{100 * together.difference_before:.1f}% -> {100 * together.difference_after:.1f}%"
    )
    scores: dict[str, float] = {}
    kinds = {"points": depth_points(naive), "naive": _fused(naive)}
    kinds["fuse"] = _fused(together.views)
    if (tracked := tracked_views(views, [shot.truth for shot in shots])) is not None:
        kinds["fuse, poses by geometry"] = _fused(tracked)
    for kind, points in kinds.items():
        scores[kind] = cloud_f_score(points, true, THRESHOLD)
        print(
            f"  {kind}: accuracy {cloud_accuracy(points, true):.3f} m, completeness "
            f"{cloud_completeness(points, true):.3f} m, F-score at 5 cm {scores[kind]:.3f}",
            flush=True,
        )
    return scores["fuse"] / max(scores["points"], 1e-9)


def main() -> None:
    """Score the kitchen, and rendered clips of the kinds and seeds in the arguments."""
    model = load_model(FAST_MODEL)
    if "RILIEVO_DATA" in os.environ:
        times = score("kitchen", model, kitchen(Path(os.environ["RILIEVO_DATA"])))
        print(f"  {times:.2f} times the F-score of points")
    for word in sys.argv[1:]:
        kind, seed = word.split(":")
        times = score(f"rendered {word}", model, rendered(kind, int(seed)))
        print(f"  {times:.2f} times the F-score of points")


if __name__ == "__main__":
    main()
