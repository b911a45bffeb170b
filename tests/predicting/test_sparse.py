"""Depth of another instrument at some pixels brings a whole map to metres."""

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from skimage.data import stereo_motorcycle

import rilievo
from rilievo.cli import main
from rilievo.errors.messages import spell_flag, worded
from rilievo.predicting.metres.sparse import read_sparse
from rilievo.predicting.metres.sparse_points import (
    MAX_POINTS,
    drop_implausible_points,
    thin_by_grid,
)
from rilievo.records.depth_map import DepthMap

SHAPE = (48, 64)


def ramp() -> np.ndarray:
    """Depth of a leaning wall [m]."""
    rows, columns = np.mgrid[: SHAPE[0], : SHAPE[1]]
    return (2 + rows / 30 + columns / 60).astype(np.float32)


def gaps(depth: np.ndarray, share: float = 0.1) -> np.ndarray:
    seen = np.random.default_rng(0).random(depth.shape) < share
    return np.where(seen, depth, 0).astype(np.float32)


@pytest.fixture(scope="module")
def motorcycle() -> tuple[np.ndarray, np.ndarray]:
    """The photograph and its true depth [m], a quarter as large."""
    photo, _, disparity = stereo_motorcycle()
    depth = 994.978 * 0.193001 / (np.nan_to_num(disparity, posinf=0) + 31.086)
    depth[~np.isfinite(disparity)] = 0
    return np.ascontiguousarray(photo[::4, ::4]), depth[::4, ::4].astype(np.float32)


def test_points_between_pixels_are_those_of_the_nearest_pixel(tmp_path: Path) -> None:
    depth = ramp()
    v, u = np.indices(SHAPE)
    lines = np.column_stack([(u + 0.4).ravel(), (v - 0.4).ravel(), depth.ravel()])
    np.savetxt(tmp_path / "points.txt", lines, fmt="%.7g")
    sparse = read_sparse(tmp_path / "points.txt", SHAPE, None)
    assert sparse.measured is not None
    np.testing.assert_allclose(sparse.measured, depth, rtol=1e-6)


@pytest.mark.parametrize("name", ["d.npy", "d.png", "d.txt", "d.csv", "d.tiff"])
def test_the_same_points_come_from_every_file(tmp_path: Path, name: str) -> None:
    depth = np.round(gaps(ramp(), 0.02), 3)
    path, unit = tmp_path / name, None
    if name == "d.npy":
        np.save(path, depth)
    elif name == "d.tiff":
        Image.fromarray(depth).save(path)
    elif name == "d.png":
        unit = 0.001
        Image.fromarray(np.round(depth * 1000).astype(np.uint16)).save(path)
    else:
        at = np.argwhere(depth > 0)
        mark = "," if name == "d.csv" else " "
        lines = [mark.join(map(str, (v - 0 * u, u, depth[u, v]))) for u, v in at]
        header = "u,v,metres\n" if name == "d.csv" else "# u v metres\n"
        path.write_text(header + "\n".join(lines) + "\n")
    found = {(point.u, point.v): point.metres for point in read_sparse(path, SHAPE, unit).points}
    assert set(found) == {(u, v) for v, u in np.argwhere(depth > 0)}
    for (u, v), metres in found.items():
        assert metres == pytest.approx(depth[int(v), int(u)], abs=2e-6)


def test_a_smaller_map_lies_over_the_whole_photograph() -> None:
    depth = np.zeros((12, 16), np.float32)
    depth[0, 0] = depth[11, 15] = 2
    first, last = read_sparse(depth, SHAPE, None).points
    assert (first.u, first.v) == (1.5, 1.5)
    assert (last.u, last.v) == (61.5, 45.5)


def test_many_points_are_thinned_evenly_to_medians() -> None:
    depth = ramp()
    depth[::7, ::5] *= 50  # slips
    points = np.array([(p.u, p.v, p.metres) for p in read_sparse(depth, SHAPE, None).points])
    assert MAX_POINTS / 2 < len(points) <= MAX_POINTS
    quarters = np.histogram2d(points[:, 0], points[:, 1], bins=2)[0]
    assert quarters.min() > 0.7 * quarters.max()
    assert points[:, 2].max() < 6
    few = points[:10]
    np.testing.assert_array_equal(thin_by_grid(few, SHAPE), few)


@pytest.mark.slow
def test_depth_becomes_the_instruments(motorcycle: tuple[np.ndarray, np.ndarray]) -> None:
    """The depth is better than with one point also where the instrument saw nothing; held-out
    pixels are scored.
    """
    photo, true = motorcycle
    sparse = gaps(true, 0.02)
    kept_out = (true > 0) & (sparse == 0)

    def error(prediction: rilievo.Prediction) -> float:
        found = prediction.depth.depth()
        return float(np.median(np.abs(found / np.where(true > 0, true, 1) - 1)[kept_out]))

    with pytest.warns(UserWarning, match="measured pixels contradict their neighbours"):
        many = rilievo.predict(photo, sparse=sparse)
    v, u = np.argwhere(sparse > 0)[0]
    one = rilievo.predict(photo, known=[(int(u), int(v), float(true[v, u]))])
    assert many.depth.kind == "metric"
    assert error(many) < 0.6 * error(one)
    assert many.calibration is not None
    assert len(many.calibration.asked) <= MAX_POINTS


def test_points_that_an_instrument_got_wrong_are_left_out_and_counted() -> None:
    depth = DepthMap(values=ramp() / 3, kind=rilievo.DepthKind.UP_TO_SCALE)
    true = gaps(ramp(), 0.05)
    v, u = np.argwhere(true > 0)[5]
    true[v, u] *= 10
    points = read_sparse(true, SHAPE, None).points
    assert any(point.metres > 15 for point in points)
    remainder, remark = drop_implausible_points(depth, points)
    assert len(remainder) == len(points) - 1
    assert remark is not None
    assert f"rilievo ignores 1 of {len(points)} points" in remark


def test_points_of_which_none_agrees_with_another_are_refused_with_the_reason() -> None:
    depth = DepthMap(values=ramp(), kind=rilievo.DepthKind.UP_TO_SCALE)
    points = tuple(
        rilievo.KnownPoint(u=u, v=5, metres=factor * float(depth.values[5, u]))
        for u, factor in ((3, 1.0), (20, 6.0))
    )
    with pytest.raises(
        rilievo.CalibrationError,
        match="no single scale of the predicted depth fits the 2 known points",
    ):
        drop_implausible_points(depth, points)


@pytest.mark.parametrize(
    ("sparse", "options", "says"),
    [
        (np.zeros(SHAPE, np.float32), {}, "no pixel with depth"),
        (np.ones(SHAPE, np.uint16), {}, "sparse_unit="),
        (np.ones((48, 48), np.float32), {}, "sparse_crop='stretched'"),
        (np.ones((1, 48, 64), np.float32), {}, "shape"),
        (np.ones(SHAPE, np.float32), {"known": [(1, 1, 1)]}, "cannot be combined"),
        (np.ones(SHAPE, np.float32), {"camera_height": 1.5}, "cannot be combined"),
    ],
)
def test_what_is_no_sparse_depth_is_said(
    sparse: np.ndarray, options: dict[str, Any], says: str
) -> None:
    with pytest.raises(rilievo.RilievoError, match=says):
        rilievo.predict(np.full((*SHAPE, 3), 90, np.uint8), sparse=sparse, **options)


def test_advice_names_the_options_of_sparse_depth(tmp_path: Path) -> None:
    path = tmp_path / "depth.png"
    millimetres = np.round(1000 * ramp()).astype(np.uint16)
    millimetres[:20, :20] = 65535  # "no depth"
    Image.fromarray(millimetres).save(path)
    [note] = read_sparse(path, SHAPE, 0.001).notes
    assert worded(note, spell_flag).endswith("set --sparse-encoding invalid=0,65535")
    assert read_sparse(path, SHAPE, 0.001, encoding="invalid=0,65535").notes == ()

    Image.fromarray(np.dstack([np.uint8(millimetres // 256)] * 3)).save(path)
    with pytest.raises(rilievo.InputError) as refusal:
        read_sparse(path, SHAPE, 0.001)
    assert "set --sparse-encoding channels=1,0,0 " in worded(refusal.value, spell_flag)

    np.save(tmp_path / "depth.npy", millimetres[:, ::-1].astype(np.int64) + 1000)
    notes = read_sparse(tmp_path / "depth.npy", SHAPE, 1.0).notes
    assert any("set --sparse-unit 0.001" in worded(note, spell_flag) for note in notes)


@pytest.mark.parametrize(
    ("text", "says"), [("1 2\n", "line 1"), ("1 2 x\n", "line 1"), ("900 2 3\n", "no point")]
)
def test_lists_that_are_wrong_name_the_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "d.txt").write_text(text)
    with pytest.raises(rilievo.InputError, match=says):
        read_sparse(tmp_path / "d.txt", SHAPE, None)


@pytest.mark.slow
def test_the_command_takes_a_file_or_a_folder_of_them(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    motorcycle: tuple[np.ndarray, np.ndarray],
) -> None:
    photo, true = motorcycle
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Path("lidar").mkdir()
    for name in ("a", "b"):
        Image.fromarray(photo).save(f"photos/{name}.png")
        millimetres = np.round(1000 * gaps(true, 0.02)).astype(np.uint16)
        Image.fromarray(millimetres).save(f"lidar/{name}.png")
    usual = ["predict", "photos", "--sparse", "lidar", "-o", "out", "--save", "npy"]
    assert main(usual) == 1
    assert "--sparse-unit" in capsys.readouterr().err
    usual += ["--sparse-unit", "0.001"]
    assert main(usual) == 0
    assert rilievo.read_prediction("out/a.json").depth.kind == "metric"
    first = Path("out/a.depth.npy").stat().st_mtime_ns
    assert main(usual) == 0
    assert Path("out/a.depth.npy").stat().st_mtime_ns == first
    Image.fromarray(np.round(2000 * gaps(true, 0.02)).astype(np.uint16)).save("lidar/b.png")
    capsys.readouterr()
    assert main(usual) != 0
    assert "a different file b.png" in capsys.readouterr().err
    assert main([*usual[:2], "--sparse", "lidar/a.png", *usual[4:], "--overwrite"]) == 2
    assert "give a folder" in capsys.readouterr().err
    Path("lidar/b.png").unlink()
    assert main([*usual, "--overwrite"]) == 1
    assert "no file b" in capsys.readouterr().err


def test_folders_of_one_tree_are_matched_place_by_place(tmp_path: Path) -> None:
    for scene, metres in (("a", 2.0), ("b", 4.0)):
        for name in ("photos", "lidar"):
            (tmp_path / name / scene).mkdir(parents=True)
        Image.new("RGB", (64, 48), "grey").save(tmp_path / f"photos/{scene}/0.png")
        np.save(tmp_path / f"lidar/{scene}/0.npy", np.full(SHAPE, metres, np.float32))
    command = ["predict", str(tmp_path / "photos"), "--sparse", str(tmp_path / "lidar")]
    assert main([*command, "--save", "npy", "-o", str(tmp_path / "out")]) == 0
    near, far = (np.load(tmp_path / f"out/{scene}/0.depth.npy") for scene in ("a", "b"))
    assert np.median(far) == pytest.approx(2 * np.median(near), rel=0.05)


def test_points_that_share_a_pixel_and_points_between_pixels_do_no_harm() -> None:
    depth = DepthMap(values=ramp(), kind=rilievo.DepthKind.UP_TO_SCALE)
    larger = np.repeat(np.repeat(ramp() * 3, 2, axis=0), 2, axis=1)
    smaller = (ramp() * 3)[::2, ::2]
    for map_ in (larger, smaller):
        points, remark = drop_implausible_points(depth, read_sparse(map_, SHAPE, None).points)
        fitted = rilievo.calibrate(depth, points)
        assert remark is None
        assert np.median(fitted.depth.values / ramp()) == pytest.approx(3, rel=0.02)


@pytest.mark.parametrize("kind", [rilievo.DepthKind.AFFINE, rilievo.DepthKind.AFFINE_INVERSE])
def test_a_wrong_point_does_not_refuse_depth_of_an_affine_kind(kind: rilievo.DepthKind) -> None:
    inverse = kind is rilievo.DepthKind.AFFINE_INVERSE
    values = 5 / ramp() + 1 if inverse else 0.5 * ramp() - 0.7
    depth = DepthMap(values=values.astype(np.float32), kind=kind)
    true = gaps(ramp(), 0.05)
    v, u = np.argwhere(true > 0)[7]
    true[v, u] *= 15
    points = read_sparse(true, SHAPE, None).points
    remainder, remark = drop_implausible_points(depth, points)
    assert len(remainder) == len(points) - 1
    assert remark is not None
    fitted = rilievo.calibrate(depth, remainder, judge=False)
    assert np.abs(fitted.depth.values / ramp() - 1).max() < 0.02


@pytest.mark.parametrize(
    ("count", "says"),
    [
        (1, "the 1 point of sparse depth covers 0.0013% of the picture"),
        (40, "the 40 points of sparse depth cover 0.052% of the picture"),
        (600, "the 600 points of sparse depth cover 0.78% of the picture"),
        (900, None),
    ],
)
def test_points_that_are_fitted_but_not_kept_are_counted_in_a_note(
    count: int, says: str | None
) -> None:
    rows, columns = np.mgrid[:240, :320]
    photo = np.stack([rows, columns / 2, rows / 2], axis=2).astype(np.uint8)
    sparse = np.zeros(photo.shape[:2], np.float32)
    sparse.flat[np.random.default_rng(0).choice(sparse.size, count, replace=False)] = 2
    prediction = rilievo.predict(photo, sparse=sparse, model="rilievo/small")
    notes = [note for note in prediction.notes if "up to 1%" in note]
    is_kept = prediction.measured is not None
    assert is_kept == (says is None)
    assert len(notes) == (0 if is_kept else 1)
    if says is not None:
        assert notes[0].startswith(says)
        assert (" of them, spread over the picture)" in notes[0]) == (count > MAX_POINTS)


def test_a_note_says_if_too_few_points_agree_to_be_kept() -> None:
    photo = np.full((240, 320, 3), 128, np.uint8)
    chance = np.random.default_rng(0)
    sparse = np.exp(chance.uniform(0, 4, photo.shape[:2])).astype(np.float32)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        prediction = rilievo.predict(photo, sparse=sparse, model="rilievo/small")
    assert prediction.measured is None
    assert any("of the 76,800 points of sparse depth, those" in note for note in prediction.notes)
