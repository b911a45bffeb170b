"""Scores of models on clips: triangulated corners and scaling by the median."""

import sys
from pathlib import Path

import numpy as np
import pytest

from fixed_depth import FixedDepth

sys.path.insert(0, str(Path(__file__).parents[3] / "lab" / "studies"))
import own_video
import own_video_seeds

K = np.array([[200.0, 0, 79.5], [0, 210.0, 59.5], [0, 0, 1]])


def moved(x: float) -> np.ndarray:
    T = np.eye(4)
    T[0, 3] = -x
    return T


def test_a_point_is_found_where_all_rays_meet_and_nowhere_else() -> None:
    motions = {k: moved(0.1 * k) for k in range(-3, 4)}
    point = np.array([0.3, -0.2, 4.0])
    seen = {}
    for k, T in motions.items():
        x, y, z = K @ (T[:3] @ np.append(point, 1))
        seen[k] = np.array([x / z, y / z])
    found = own_video._point(seen, motions, K)
    np.testing.assert_allclose(found, point, atol=1e-6)
    assert own_video._point(seen | {2: seen[2] + 2}, motions, K) is None
    narrow = {k: moved(0.001 * k) for k in motions}
    assert own_video._point({k: seen[0] for k in motions}, narrow, K) is None


def test_depth_is_scaled_by_the_median_of_each_frame() -> None:
    depth = np.ones((40, 60))
    depth[:, 30:] = 3.0
    frame = own_video._dense(np.zeros((40, 60, 3), np.uint8), depth)
    error, share, constant = own_video.score(FixedDepth(7 * depth), [frame])
    assert error == pytest.approx(0, abs=1e-6)
    assert share == 1
    assert constant > 0.3
    flat = own_video.score(FixedDepth(np.ones((40, 60))), [frame])
    assert flat[0] > 0.5


def test_a_run_sees_the_first_three_quarters_of_a_rendered_clip(tmp_path: Path) -> None:
    images = tmp_path / "images"
    images.mkdir()
    for number in range(10):
        (images / f"{number:06d}.png").touch()
    seen, later = (own_video.rendered_files(tmp_path, seen=each) for each in (True, False))
    assert [file.stem for file in seen] == [f"{number:06d}" for number in range(7)]
    assert [file.stem for file in later] == [f"{number:06d}" for number in range(7, 10)]


def test_changes_of_the_panel_are_the_mean_over_cameras_and_the_largest() -> None:
    start = {"a": 0.1, "b": 0.2}
    ends = [{"a": 0.11, "b": 0.19}, {"a": 0.1, "b": 0.2}]
    assert own_video_seeds.changes(start, ends) == [
        "+2.5%, at most +10.0%",
        "+0.0%, at most +0.0%",
    ]


def test_scores_of_a_run_are_stored_and_only_those_that_lack_are_computed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    depth = np.ones((40, 60))
    depth[:, 30:] = 3.0
    asked: list[object] = []

    def load(name: object, threads: int) -> FixedDepth:
        asked.append(name)
        return FixedDepth(depth)

    monkeypatch.setattr(own_video_seeds, "load_model", load)
    sets = {"one": [own_video._dense(np.zeros((40, 60, 3), np.uint8), depth)]}
    first = own_video_seeds.scored(tmp_path, sets)
    assert own_video_seeds.scored(tmp_path, sets) == first
    assert asked == [tmp_path]
    both = own_video_seeds.scored(tmp_path, sets | {"two": sets["one"]})
    assert asked == [tmp_path, tmp_path]
    assert both["two"] == both["one"] == first["one"]
