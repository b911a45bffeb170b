"""Videos of Sintel, KITTI, Bonn and ScanNet as downloaded, scored as the paper describes it.

The arithmetic here follows the text of Video Depth Anything (Chen et al., CVPR 2025) and of
DepthCrafter (Hu et al., CVPR 2025): one scale and shift for a whole video by least squares in
inverse depth, depth clipped to the cap, metrics of each frame, averaged over a video, then over
videos. It reads no file of the set.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from rilievo.evaluation.evaluation_run import evaluate
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.records import Evaluation
from rilievo.evaluation.suite_run import evaluate_protocols
from support.video_downloads import Written, write_bonn, write_kitti, write_scannet, write_sintel

CAPS = {"sintel": 70.0, "kitti": 80.0, "bonn": 10.0, "scannet": 10.0}
WRITERS: dict[str, Callable[[Path], Written]] = {
    "sintel": write_sintel,
    "kitti": write_kitti,
    "kitti-500": lambda root: write_kitti(root, short=False),
    "bonn": write_bonn,
    "bonn-500": lambda root: write_bonn(root, short=False),
    "scannet": write_scannet,
    "scannet-500": lambda root: write_scannet(root, short=False),
}


pytestmark = pytest.mark.usefixtures("no_pages")


def write_predictions(written: Written, folder: Path, *, half: bool) -> dict[str, np.ndarray]:
    """Inverse depth with noise, a scale and a shift; some of half the size."""
    given = {}
    for number, (_, frames) in enumerate(written.depth.items()):
        for place, (id, depth) in enumerate(frames.items()):
            chance = np.random.default_rng([number, place])
            seen = np.where(depth > 0, depth, 5.0)
            noise = np.exp(chance.normal(0, 0.01 + 0.03 * number, depth.shape))
            x = (3 / seen + 0.2 + chance.normal(0, 0.01)) * noise
            x[0, :4] = -2.0
            given[id] = (x[::2, ::2] if half else x).astype(np.float32)
            path = folder / f"{id}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, given[id])
    return given


def by_hand(
    written: Written, given: dict[str, np.ndarray], cap: float
) -> list[list[dict[str, float]]]:
    """Metrics of every frame of every video."""
    videos = []
    for frames in written.depth.values():
        t = np.stack(list(frames.values())).astype(np.float64)
        size = t.shape[2], t.shape[1]
        x = np.stack([cv2.resize(given[id], size) for id in frames]).astype(np.float64)
        x = np.maximum(x, 1e-3)
        counts = (t > 1e-3) & (t < cap)
        y = 1 / t[counts]
        normal = np.array([[x[counts] @ x[counts], x[counts].sum()], [x[counts].sum(), y.size]])
        scale, shift = np.linalg.solve(normal, [x[counts] @ y, y.sum()])
        p = np.clip(1 / np.maximum(scale * x + shift, 1e-3), 1e-3, cap)
        rows = []
        for true, own, mask in zip(t, p, counts, strict=True):
            a, b = true[mask], own[mask]
            rows.append(
                {
                    "abs_rel": float(np.mean(np.abs(b / a - 1))),
                    "rmse": float(np.sqrt(np.mean((a - b) ** 2))),
                    "delta1": float(np.mean((a < 1.25 * b) & (b < 1.25 * a))),
                }
            )
        videos.append(rows)
    return videos


def run(root: Path, split: str, predictions: Path, output: Path) -> Evaluation:
    options = EvaluateOptions(
        output=output, workers=1, predictions=predictions, kind="affine_inverse"
    )
    return evaluate(None, f"vda-{split}", root, options, show=False)


@pytest.mark.parametrize("split", list(WRITERS))
def test_downloads_give_the_numbers_of_the_paper(tmp_path: Path, split: str) -> None:
    name = split.partition("-")[0]
    written = WRITERS[split](tmp_path / "sets" / name)
    given = write_predictions(written, tmp_path / "theirs", half=name == "bonn")
    videos = by_hand(written, given, CAPS[name])
    found = run(tmp_path / "sets", split, tmp_path / "theirs", tmp_path / "out")
    assert {each.metric for each in found.summaries} == {"abs_rel", "rmse", "delta1"}
    for summary in found.summaries:
        rows = [[row[summary.metric] for row in video] for video in videos]
        by_video = float(np.mean([np.mean(each) for each in rows]))
        by_frame = float(np.mean([value for each in rows for value in each]))
        assert summary.value == pytest.approx(by_video, rel=1e-6)
        assert summary.per_image == pytest.approx(by_frame, rel=1e-6)
        assert by_video != pytest.approx(by_frame, rel=1e-4)
    wanted = [id for frames in written.depth.values() for id in frames]
    assert [score.id for score in found.scores] == wanted
    # Videos that this download lacks are said one by one.
    assert all("has no frames for this video" in each.reason for each in found.unscored)
    total = {"sintel": 23, "kitti": 13, "bonn": 5, "scannet": 100}[name]
    assert len(found.unscored) == total - len(written.depth)


def test_downloads_with_poses_have_the_error_of_neighbouring_frames(tmp_path: Path) -> None:
    written = write_scannet(tmp_path / "set", short=False)
    write_predictions(written, tmp_path / "theirs", half=False)
    options = EvaluateOptions(
        output=tmp_path / "out",
        workers=1,
        predictions=tmp_path / "theirs",
        kind="affine_inverse",
        dataset="vda-videos",
        split="scannet-500",
    )
    found = evaluate(None, "video-tae", tmp_path / "set", options, show=False)
    lost = [each.id for each in found.unscored if "or the pose" in each.reason]
    # Tracking was lost at frame 3 of both videos.
    assert lost == [f"scene{video}_00/color/{n}" for video in ("0707", "0710") for n in (2, 3)]
    assert len(found.scores) == (14 - 1) + (5 - 1) - len(lost)


def test_benchmarks_of_videos_score_together_as_they_do_apart(tmp_path: Path) -> None:
    written = write_sintel(tmp_path / "set")
    write_predictions(written, tmp_path / "theirs", half=False)
    options = EvaluateOptions(
        output=tmp_path / "all",
        workers=1,
        predictions=tmp_path / "theirs",
        kind="affine_inverse",
        dataset="vda-videos",
    )
    names = "video-depth,video-tae,vda-sintel"
    result = evaluate_protocols(None, names, tmp_path / "set", options, show=False)
    for row in result.rows:
        assert row.evaluation is not None, row.reason
        own = replace(options, output=tmp_path / row.label)
        alone = evaluate(None, row.label, tmp_path / "set", own, show=False)
        assert alone.summaries == row.evaluation.summaries
