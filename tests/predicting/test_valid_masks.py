"""A mask of valid pixels for all photographs and frames of a camera, at every door."""

import json
import os
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.cli import main
from rilievo.errors import CalibrationError, InputError, OptionError
from rilievo.io.videos.video import VideoReader
from rilievo.predicting.videos.clip import predict_clip
from rilievo.predicting.videos.clip_options import ClipOptions
from support.clips import Clip, numbered, write_clip
from support.fixed_depth import FixedDepth

SIZE = (96, 128)
V, U = np.mgrid[: SIZE[0], : SIZE[1]]
CIRCLE = np.hypot(U - 63.5, V - 47.5) < 45
"""What an endoscope sees."""
PHOTO = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), np.uint8)
SMALL = "rilievo/small"


@pytest.fixture
def circle(tmp_path: Path) -> Path:
    path = tmp_path / "circle.png"
    Image.fromarray(np.where(CIRCLE, 255, 0).astype(np.uint8)).save(path)
    return path


@pytest.mark.parametrize(
    "form", [CIRCLE, CIRCLE.astype(np.uint8), 255 * CIRCLE.astype(np.uint8), 255 * CIRCLE]
)
def test_a_masked_photograph_is_one_with_transparent_pixels(form: np.ndarray) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        rgba = np.dstack([PHOTO, np.where(CIRCLE, 255, 0).astype(np.uint8)])
        expected = rilievo.predict(rgba, model=SMALL)
    prediction = rilievo.predict(PHOTO, model=SMALL, valid_mask=form)
    np.testing.assert_array_equal(prediction.depth.valid, CIRCLE)
    np.testing.assert_array_equal(prediction.depth.values, expected.depth.values)
    np.testing.assert_array_equal(prediction.normals, expected.normals)
    fraction = 1 - CIRCLE.mean()
    assert prediction.notes == (f"the mask leaves {fraction:.1%} of the pixels without depth",)


@pytest.mark.parametrize("mode", ["L", "1", "P", "RGB", "RGBA", "ones"])
def test_a_mask_may_be_stored_in_any_way(tmp_path: Path, mode: str) -> None:
    grey = Image.fromarray(np.where(CIRCLE, 255, 0).astype(np.uint8))
    picture = Image.fromarray(CIRCLE.astype(np.uint8)) if mode == "ones" else grey.convert(mode)
    picture.save(tmp_path / "mask.png")
    model = FixedDepth(np.ones(SIZE))
    prediction = rilievo.predict(PHOTO, model=model, valid_mask=tmp_path / "mask.png")
    np.testing.assert_array_equal(prediction.depth.valid, CIRCLE)


def test_a_soft_edge_and_two_greys_are_a_mask() -> None:
    distance = 45 - np.hypot(U - 63.5, V - 47.5)
    soft = np.clip(128 + 24 * distance, 0, 255).astype(np.uint8)
    for mask in (soft, np.where(CIRCLE, 200, 40).astype(np.uint8)):
        prediction = rilievo.predict(PHOTO, model=FixedDepth(np.ones(SIZE)), valid_mask=mask)
        np.testing.assert_array_equal(prediction.depth.valid, CIRCLE)


def test_transparent_pixels_stay_without_depth() -> None:
    alpha = np.full(SIZE, 255, np.uint8)
    alpha[:, 60:70] = 0
    with pytest.warns(UserWarning, match="transparent pixels"):
        prediction = rilievo.predict(np.dstack([PHOTO, alpha]), model=SMALL, valid_mask=CIRCLE)
    np.testing.assert_array_equal(prediction.depth.valid, CIRCLE & (alpha > 0))
    nowhere = np.where(CIRCLE, 0, 255).astype(np.uint8)
    with pytest.raises(InputError, match="no opaque pixel inside the mask of valid_mask"):
        rilievo.predict(np.dstack([PHOTO, nowhere]), model=SMALL, valid_mask=CIRCLE)


def test_masked_pixels_do_not_count_in_measurements_and_fits() -> None:
    # Outside of the circle, the network sees the wall of the tube.
    model = FixedDepth(np.where(CIRCLE, 1.0, 0.01))
    sensor = np.where(CIRCLE, 2.0, 3.0).astype(np.float32)
    prediction = rilievo.predict(
        PHOTO, model=model, valid_mask=CIRCLE, camera=90, sparse=sensor, depth_error="1%"
    )
    np.testing.assert_allclose(prediction.depth.values[CIRCLE], 2, rtol=1e-5)
    np.testing.assert_array_equal(prediction.depth.valid, CIRCLE)
    with pytest.raises(CalibrationError, match="pixel without depth"):
        prediction.distance(2, 2)
    with pytest.raises(CalibrationError, match="pixel without depth"):
        rilievo.predict(PHOTO, model=model, valid_mask=CIRCLE, known=[(2, 2, 1.0)])


@pytest.mark.parametrize(
    ("mask", "error", "words"),
    [
        (np.ones((48, 64), bool), InputError, "is 128x96, but the mask of valid_mask is 64x48"),
        (np.zeros(SIZE, bool), InputError, "is black everywhere"),
        (PHOTO[..., 0], InputError, "neither black nor white"),
        (np.ones(SIZE), InputError, "expected .height, width. of bool or uint8"),
        (np.ones((*SIZE, 3), bool), InputError, "expected .height, width. of bool or uint8"),
        ("absent.png", InputError, "no such file"),
        (7, OptionError, "valid_mask must be an array"),
    ],
)
def test_what_is_no_mask_of_the_photograph_is_refused(
    mask: Any, error: type[Exception], words: str
) -> None:
    with pytest.raises(error, match=words) as refusal:
        rilievo.predict(PHOTO, model=SMALL, valid_mask=mask)
    assert "\n" not in str(refusal.value)


def test_files_take_a_file_only() -> None:
    with pytest.raises(OptionError, match=r"only rilievo\.predict takes an array"):
        rilievo.PredictOptions(valid_mask=CIRCLE)


def test_photographs_of_one_size_share_a_mask(
    tmp_path: Path, circle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "photos").mkdir()
    for name in ("a", "b"):
        Image.fromarray(PHOTO).save(tmp_path / f"photos/{name}.png")
    Image.fromarray(PHOTO[:, :100]).save(tmp_path / "photos/narrow.png")
    words = ["predict", str(tmp_path / "photos"), "-m", SMALL, "--valid-mask", str(circle)]
    words += ["--save", "npy", "-o", str(tmp_path / "out")]
    assert main(words) == 1
    told = capsys.readouterr().err
    assert "narrow.png: is 100x96, but the mask of --valid-mask is 128x96" in told
    assert told.count("of the pixels without depth") == 1
    for name in ("a", "b"):
        depth = np.load(tmp_path / f"out/{name}.depth.npy")
        np.testing.assert_array_equal(np.isfinite(depth) & (depth > 0), CIRCLE)
        record = json.loads((tmp_path / f"out/{name}.json").read_text())
        assert record["run"]["valid_mask"].startswith("circle.png ")
        assert any("the mask" in note for note in record["notes"])

    # Results of another mask are not taken for those of this one.
    Image.fromarray(np.full(SIZE, 255, np.uint8)).save(circle)
    assert main(words) == 1
    assert "a different file circle.png, or one that was changed" in capsys.readouterr().err


def test_results_are_kept_if_the_mask_is_touched_or_copied(
    tmp_path: Path, circle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    words = ["predict", str(tmp_path / "a.png"), "-m", SMALL, "--save", "npy"]
    words += ["-o", str(tmp_path / "out")]
    assert main([*words, "--valid-mask", str(circle)]) == 0
    copied = tmp_path / "copied.png"
    copied.write_bytes(circle.read_bytes())
    os.utime(circle, (1, 1))
    capsys.readouterr()
    for mask in (circle, copied):
        assert main([*words, "--valid-mask", str(mask)]) == 0
        assert "1 skipped: already done" in capsys.readouterr().err


@pytest.mark.parametrize("form", ["video", "frames"])
def test_frames_of_a_video_share_a_mask(tmp_path: Path, circle: Path, form: str) -> None:
    source = tmp_path / "clip"
    if form == "video":
        source = tmp_path / "clip.mp4"
        write_clip(source, Clip(pictures=numbered(4, SIZE)))
    else:
        source.mkdir()
        for index, frame in enumerate(numbered(4, SIZE)):
            Image.fromarray(frame).save(source / f"{index}.png")
    words = ["predict", str(source), "-m", SMALL, "--valid-mask", str(circle), "--save", "npy"]
    assert main([*words, "--sequence", "-o", str(tmp_path / "out")]) == 0
    maps = sorted((tmp_path / "out").rglob("*.npy"))
    assert len(maps) == 4
    for path in maps:
        depth = np.load(path)
        np.testing.assert_array_equal(np.isfinite(depth) & (depth > 0), CIRCLE)
    record = json.loads(next((tmp_path / "out").glob("*.json")).read_text())
    assert record["depth"]["valid_pixels"] == 4 * CIRCLE.sum()


def test_masked_pixels_do_not_count_in_the_range_of_a_video(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", Clip(pictures=numbered(3, SIZE)))
    # A band that is wider than the border which shrinking leaves.
    valid = np.arange(SIZE[1]) < 80
    mask = np.broadcast_to(valid, SIZE)
    model = FixedDepth(np.where(np.arange(SIZE[1]) < 82, 2.0, 50.0) * np.ones(SIZE))
    ranges = []
    for name, valid_mask in (("masked", mask), ("whole", None)):
        options = ClipOptions(outputs=("colour",), valid_mask=valid_mask)
        sidecar = predict_clip(VideoReader(tmp_path / "clip.mp4"), model, tmp_path / name, options)
        assert sidecar.depth is not None
        ranges.append(sidecar.depth.maximum)
    assert ranges == pytest.approx([2, 50], rel=0.01)


def test_frames_of_a_stream_share_a_mask(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4", Clip(pictures=numbered(2, SIZE)))
    for prediction in rilievo.stream(tmp_path / "clip.mp4", model=SMALL, valid_mask=CIRCLE):
        np.testing.assert_array_equal(prediction.depth.valid, CIRCLE)


def test_measure_takes_a_mask(
    tmp_path: Path, circle: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "a.png")
    words = ["measure", str(tmp_path / "a.png"), "-m", SMALL, "--valid-mask", str(circle)]
    assert main([*words, "--distance", "2,2"]) == 2
    assert "pixel without depth" in capsys.readouterr().err
    assert main([*words, "--distance", "64,48"]) == 0
    np.save(tmp_path / "depth.npy", np.ones(SIZE, np.float32))
    assert (
        main(
            [*words[:2], *words[4:], "--distance", "64,48", "--depth", str(tmp_path / "depth.npy")]
        )
        == 2
    )
    assert "--valid-mask cannot be combined with --depth" in capsys.readouterr().err
