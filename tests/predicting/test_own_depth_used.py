"""Depth that a photograph's file holds gives metres, where the user knows nothing else."""

import json
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import rilievo
from rilievo.cli import main
from rilievo.io.videos.frame_folder import FrameFolder
from rilievo.predicting.inputs import Job, Medium
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs.results import ResultWriter
from rilievo.predicting.run import predict_files
from rilievo.records.depth_map import DepthKind
from support.fixed_depth import FixedDepth
from support.photographs_with_depth import SIZE, apple_jpeg, dynamic, gdepth, map_png, true_depth


def thirds() -> FixedDepth:
    """A model that answers a third of the true depth: right proportions, no size."""
    return FixedDepth(true_depth() / 3)


def enlarged() -> np.ndarray:
    return np.repeat(np.repeat(true_depth(), 2, axis=0), 2, axis=1)


@pytest.mark.parametrize(
    ("content", "source"),
    [(gdepth, "GDepth"), (dynamic, "Dynamic Depth"), (apple_jpeg, "Apple")],
)
def test_metres_come_from_the_photograph_itself(content: Callable[[], bytes], source: str) -> None:
    prediction = rilievo.predict(content(), model=thirds())
    assert prediction.depth.kind is DepthKind.METRIC
    assert prediction.depth.shape == SIZE
    assert np.median(prediction.depth.depth() / enlarged()) == pytest.approx(1, rel=0.02)
    calibration = prediction.calibration
    assert calibration is not None
    assert calibration.method == "own depth"
    assert calibration.own_depth == source
    assert calibration.expected_error is not None


def test_distances_along_rays_become_depth_along_the_axis() -> None:
    found = rilievo.predict(gdepth(measure="OpticRay"), model=thirds(), camera=60.0)
    # At the corner the ray is sqrt(1 + (64 / 60)^2 + (48 / 60)^2) times as long as the axis.
    along = rilievo.predict(gdepth(), model=thirds(), camera=60.0)
    ratio = found.depth.depth() / along.depth.depth()
    assert ratio[48, 64] > 0.9
    assert ratio[1, 1] == pytest.approx(1 / np.sqrt(1 + (64 / 60) ** 2 + (48 / 60) ** 2), rel=0.15)


def test_what_the_user_knows_goes_first_and_it_can_be_left_unused() -> None:
    known = rilievo.predict(gdepth(), model=thirds(), known=[(10, 10, 40.0)])
    assert known.calibration is not None
    assert known.calibration.method == "known points"
    assert known.depth.depth()[10, 10] == pytest.approx(40, rel=0.02)
    assert rilievo.predict(gdepth(), model=thirds(), own_depth=False).calibration is None


def test_a_map_that_is_not_wanted_is_not_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[object] = []
    monkeypatch.setattr(
        "rilievo.io.photographs.own_depth.read_own_depth",
        lambda *arguments: decoded.append(arguments),
    )
    rilievo.predict(gdepth(), model=thirds(), own_depth=False)
    rilievo.predict(gdepth(), model=thirds(), known=[(10, 10, 40.0)])
    path = tmp_path / "phone.jpg"
    path.write_bytes(gdepth())
    job = Job(source=path, medium=Medium.PHOTO, target=tmp_path / "out" / "phone")
    for options in (PredictOptions(own_depth="off"), PredictOptions(camera_height=1.5)):
        ResultWriter(model=thirds(), options=options, note=decoded.append).read(job)
    assert decoded == []
    ResultWriter(model=thirds(), options=PredictOptions(), note=decoded.append).read(job)
    assert len(decoded) == 1


def test_frames_are_read_without_depth_and_a_folder_has_that_of_the_first_if_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("0.jpg", "1.jpg"):
        (tmp_path / name).write_bytes(gdepth())
    folder = FrameFolder(tmp_path, own_depth=True)
    assert folder.own_depth is not None
    assert folder.own_depth.source == "GDepth"
    decoded: list[object] = []
    monkeypatch.setattr(
        "rilievo.io.photographs.own_depth.read_own_depth",
        lambda *arguments: decoded.append(arguments),
    )
    assert len(list(folder)) == 2
    assert FrameFolder(tmp_path).own_depth is None
    assert decoded == []


@pytest.mark.parametrize("own_depth", ["on", "off"])
def test_a_sequence_tells_of_depth_that_it_does_not_use(
    tmp_path: Path, make_network: Callable[..., Path], own_depth: str
) -> None:
    pytest.importorskip("av")
    frames = tmp_path / "frames"
    frames.mkdir()
    (frames / "0.jpg").write_bytes(gdepth())
    options = PredictOptions(
        model=str(make_network()),
        output=tmp_path / "out",
        save="npy",
        sequence=True,
        own_depth=own_depth,  # pyright: ignore[reportArgumentType]
    )
    summary = predict_files([frames], options, show=False)
    assert summary.done == 1
    told = [
        note for note in summary.notes if "the depth maps in the frames' files (GDepth)" in note
    ]
    assert len(told) == (own_depth == "on")


def test_broken_depth_is_a_warning_and_relative_depth_is_silent() -> None:
    with pytest.warns(
        UserWarning, match="the depth map in this photograph's file .GDepth. is not used"
    ):
        prediction = rilievo.predict(gdepth(data=map_png(true_depth())[:300]), model=thirds())
    assert prediction.depth.kind is DepthKind.UP_TO_SCALE
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        rilievo.predict(apple_jpeg("relative"), model=thirds())


@pytest.mark.slow
def test_the_command_says_where_metres_come_from_and_what_it_passes_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "phone.jpg").write_bytes(gdepth())
    (photos / "portrait.jpg").write_bytes(apple_jpeg("relative"))
    (photos / "torn.jpg").write_bytes(gdepth(extended=True, cut=True))
    words = ["predict", str(photos), "--save", "npy", "-o", str(tmp_path / "out")]
    assert main(words) == 0
    said = capsys.readouterr().err.splitlines()
    assert any("phone.jpg: metres from the photograph's own depth (GDepth)" in s for s in said)
    assert any(
        "portrait.jpg: the depth map in this photograph's file (Apple) is not used" in line
        for line in said
    )
    assert any(
        "torn.jpg: the depth map in this photograph's file (GDepth) is not used" in line
        for line in said
    )
    about = {path.stem: json.loads(path.read_text("utf-8")) for path in tmp_path.glob("out/*.json")}
    assert about["phone"]["calibration"]["own_depth"] == "GDepth"
    assert about["phone"]["depth"]["unit"] == "metre"
    assert "calibration" not in about["torn"]
    assert main([*words, "--own-depth", "off"]) == 1  # results of other options are there
    assert "--overwrite" in capsys.readouterr().err
    assert main([*words, "--own-depth", "off", "--overwrite"]) == 0
    assert "calibration" not in json.loads((tmp_path / "out/phone.json").read_text())


def test_a_photograph_with_depth_is_measured_without_anything_known(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "phone.jpg").write_bytes(gdepth())
    words = ["measure", str(tmp_path / "phone.jpg"), "20,40", "100,40", "--fov", "60", "--json"]
    assert main(words) == 0
    said = capsys.readouterr()
    measured = json.loads(said.out)
    assert measured["unit"] == "m"
    assert measured["calibration"]["own_depth"] == "GDepth"
    focal = SIZE[1] / 2 / np.tan(np.radians(30))
    left, right = (
        enlarged()[40, u] * np.array([(u - 63.5) / focal, (40 - 47.5) / focal, 1])
        for u in (20, 100)
    )
    true = float(np.linalg.norm(right - left))
    assert true / 2 < measured["value"] < 2 * true
    assert "own depth (GDepth)" in said.err
    words = ["measure", str(tmp_path / "phone.jpg"), "20,40", "100,40", "--own-depth", "off"]
    assert main(words) == 2
    assert "sizes are unknown" in capsys.readouterr().err


def test_a_unit_without_sparse_depth_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "photo.jpg", "--sparse-unit", "0.001"]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "--sparse FILE" in said
