"""Videos as Video Depth Anything scores them, against its steps written here with plain arrays."""

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.sets.vda_videos import SETS
from rilievo.errors import InputError
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.evaluation_run import evaluate
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.records import Evaluation

SIZE = (40, 60)
CAPS = {"sintel": 70.0, "kitti": 80.0, "bonn": 10.0, "scannet": 10.0}
FACTORS = {"sintel": 65535 / 650, "kitti": 256.0, "bonn": 5000.0, "scannet": 1000.0}
CUTS = {"scannet": (8, 32, 11, 49)}
LENGTHS = {
    "sintel": (5, 2, 3),
    # Of the first, two frames are beyond the 110 that count.
    "kitti": (112, 3),
    "bonn": (6, 2),
    "scannet": (4, 1, 2),
}


pytestmark = pytest.mark.usefixtures("no_pages")


def _slope(frame: int) -> np.ndarray:
    """Smooth depth from 0.15 to beyond 1, which moves from frame to frame."""
    v, u = np.mgrid[: SIZE[0], : SIZE[1]]
    return 0.65 + 0.45 * np.sin(u / 20 + v / 15 + frame / 4) + 0.05 * np.cos(v / 3)


def write_videos(root: Path, name: str) -> None:
    """A look-alike of one set: frames, depth with holes and beyond the cap, and the list."""
    videos = []
    for number, count in enumerate(LENGTHS[name]):
        chance = np.random.default_rng([number, count])
        frames = []
        for frame in range(count):
            image = f"video{number}/rgb/{frame:04}.png"
            depth = f"video{number}/depth/{frame:04}.png"
            for each in (image, depth):
                (root / name / each).parent.mkdir(parents=True, exist_ok=True)
            metres = CAPS[name] * _slope(frame) * (1 + number) / 3
            stored = np.round(np.clip(metres * FACTORS[name], 0, 65535)).astype(np.uint16)
            stored[chance.random(SIZE) < 0.3] = 0
            if name == "bonn" and frame == 1:
                stored[:] = 0
            cv2.imwrite(str(root / name / image), np.full((8, 8, 3), 90, np.uint8))
            cv2.imwrite(str(root / name / depth), stored)
            frames.append({"image": image, "gt_depth": depth, "factor": FACTORS[name]})
            top, bottom, left, right = CUTS.get(name, (0, *SIZE[:1], 0, SIZE[1]))
            seen = np.where(stored > 0, stored / FACTORS[name], CAPS[name] / 2)
            x = 3 / seen[top:bottom, left:right] + 0.2 + chance.normal(0, 0.01, (1, 1))
            x = x * np.exp(chance.normal(0, 0.01 + 0.03 * number, x.shape))
            x[0, :4] = -2.0
            if name == "bonn":
                x = x[::2, ::2]
            file = root / "theirs" / name / Path(image).with_suffix(".npy")
            file.parent.mkdir(parents=True, exist_ok=True)
            np.save(file, x.astype(np.float32))
        videos.append({f"video{number}": frames})
    (root / name / f"{name}_video.json").write_text(json.dumps({name: videos}))


def published_steps(root: Path, name: str) -> list[dict[str, list[float]]]:
    """Metrics of the frames of each video, after one line in inverse depth."""
    content = json.loads((root / name / f"{name}_video.json").read_text())
    top, bottom, left, right = CUTS.get(name, (0, *SIZE[:1], 0, SIZE[1]))
    cap = CAPS[name]
    found = []
    for video in content[name]:
        [frames] = video.values()
        true, x = [], []
        for frame in frames[: {"kitti": 110}.get(name, 1000)]:
            stored = cv2.imread(str(root / name / frame["gt_depth"]), cv2.IMREAD_UNCHANGED)
            true.append((stored / frame["factor"])[top:bottom, left:right])
            file = root / "theirs" / name / Path(frame["image"]).with_suffix(".npy")
            given = np.load(file)
            x.append(cv2.resize(given, (right - left, bottom - top)))
        t, clipped = np.stack(true), np.maximum(np.stack(x), 1e-3).astype(np.float64)
        counts = (t > 1e-3) & (t < cap)
        columns = np.stack([clipped[counts], np.ones(counts.sum())], axis=1)
        scale, shift = np.linalg.lstsq(columns, 1 / (t[counts] + 1e-8), rcond=None)[0]
        p = np.clip(1 / np.maximum(scale * clipped + shift, 1e-3), 1e-3, cap)
        rows: dict[str, list[float]] = {"abs_rel": [], "rmse": [], "delta1": []}
        for each, own, mask in zip(t, p, counts, strict=True):
            if mask.any():
                a, b = each[mask], own[mask]
                rows["abs_rel"].append(float(np.mean(np.abs(a - b) / a)))
                rows["rmse"].append(float(np.sqrt(np.mean((a - b) ** 2))))
                rows["delta1"].append(float(np.mean(np.maximum(a / b, b / a) < 1.25)))
        found.append(rows)
    return found


def run(root: Path, benchmark: str, name: str) -> Evaluation:
    given: dict[str, Any] = {"predictions": root / "theirs" / name, "kind": "affine_inverse"}
    options = EvaluateOptions(output=root / f"out-{benchmark}", workers=1, **given)
    return evaluate(None, benchmark, root, options, show=False)


@pytest.mark.parametrize("name", list(CAPS))
def test_every_column_is_the_published_one_under_both_averagings(tmp_path: Path, name: str) -> None:
    write_videos(tmp_path, name)
    videos = published_steps(tmp_path, name)
    found = run(tmp_path, f"vda-{name}", name)
    assert {each.metric for each in found.summaries} == {"abs_rel", "rmse", "delta1"}
    for summary in found.summaries:
        rows = [video[summary.metric] for video in videos]
        by_video = float(np.mean([np.mean(each) for each in rows]))
        by_frame = float(np.mean([value for each in rows for value in each]))
        assert summary.value == pytest.approx(by_video, rel=1e-6)
        assert summary.per_image == pytest.approx(by_frame, rel=1e-6)
        assert by_video != pytest.approx(by_frame, rel=1e-4)
    empty = 2 if name == "bonn" else 0
    assert len(found.unscored) == empty
    assert len(found.scores) == sum(map(len, (video["rmse"] for video in videos)))


def test_lists_that_are_none_are_refused_in_a_line(tmp_path: Path) -> None:
    write_videos(tmp_path, "scannet")
    whole = tmp_path / "scannet" / "scannet_video.json"
    frame = {"image": "a/0.png", "gt_depth": "a/1.png", "factor": 1000}
    for content, words in (
        ([], "no list of videos under 'scannet'"),
        ({"scannet": [[frame]]}, "contains a list, expected objects that map"),
        ({"scannet": [{"a": 3}]}, "expected a list of frames for 'a'"),
        ({"scannet": [{"a": [{**frame, "factor": 0}]}]}, "needs a positive number 'factor'"),
        ({"scannet": [{"a": [{**frame, "factor": True}]}]}, "needs a positive number 'factor'"),
        ({"scannet": [{"a": [{**frame, "gt_depth": "../x.png"}]}]}, "inside the list's folder"),
        ({"scannet": [{"a": [{**frame, "image": "/etc/passwd"}]}]}, "inside the list's folder"),
        ({"scannet": [{"a": [frame]}, {"b": [frame]}]}, "lists 'a/0' twice"),
    ):
        whole.write_text(json.dumps(content))
        with pytest.raises(InputError, match=words):
            open_dataset("vda-videos", tmp_path, split="scannet")
    whole.unlink()
    with pytest.raises(InputError, match=r"scene0707_00, found .*scannet_video\.json"):
        open_dataset("vda-videos", tmp_path, split="scannet")


def test_a_set_may_be_named_by_its_own_folder_and_lacks_are_said(tmp_path: Path) -> None:
    write_videos(tmp_path, "sintel")
    (tmp_path / "sintel" / "video1" / "depth" / "0001.png").unlink()
    found = open_dataset("vda-videos", tmp_path / "sintel", split="sintel")
    assert len(found.ids) == sum(LENGTHS["sintel"]) - 1
    assert [each.id for each in found.absent] == ["video1/rgb/0001"]
    assert found.truth("video2/rgb/0000").scene == "video2"


def test_every_split_has_a_benchmark() -> None:
    assert set(open_splits()) == set(SETS)


def open_splits() -> list[str]:
    made = [BENCHMARKS[name] for name in BENCHMARKS]
    return [each.split for each in made if each.dataset == "vda-videos" and each.split]
