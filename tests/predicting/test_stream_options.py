"""A stream takes what ``rilievo predict`` takes, and refuses the rest with a reason."""

from collections.abc import Sequence
from fractions import Fraction
from inspect import signature
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rilievo
from rilievo.cli import main
from rilievo.cli.predict import _Arguments
from rilievo.errors import CalibrationError, OptionError
from rilievo.options.live_options import LIVE_DEFAULTS, NOT_LIVE, reason_not_live
from rilievo.predicting.options import PredictOptions
from rilievo.predicting.photographs import finishing
from rilievo.predicting.videos import stream as stream_module
from rilievo.records.depth_map import DepthKind
from rilievo.schema.fields import list_options
from support.affine_answers import AffineAnswer
from support.clips import Clip, write_clip
from support.colour_clips import BT_2020, PQ, ColourTags, write_signal
from support.open_field import open_field
from support.static_host import hosted

OPTIONS = {option.name: option for option in list_options(PredictOptions)}
OWN = {"source", "newest"}


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten frames a second of a picture with structure, each a little brighter."""
    chance = np.random.default_rng(3)
    picture = chance.integers(0, 90, (12, 16, 3)).astype(np.uint8).repeat(8, 0).repeat(8, 1)
    frames = [picture + np.uint8(10 * number) for number in range(6)]
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    return write_clip(path, Clip(pictures=frames, time_base=Fraction(1, 10), rate=10))


@pytest.fixture(scope="module")
def frames(clip: Path) -> Sequence[np.ndarray]:
    pytest.importorskip("av", reason="the extra 'video' is not installed")
    return [prediction.photo.pixels for prediction in rilievo.stream(clip) if prediction.photo]


def test_each_option_of_predict_is_a_keyword_of_a_stream_or_has_a_reason() -> None:
    keywords = {*signature(rilievo.stream).parameters} - OWN
    for name, option in OPTIONS.items():
        assert (name in keywords) is (reason_not_live(option, draws_pictures=False) is None), name
    assert keywords <= {*OPTIONS}


def test_defaults_of_a_stream_are_those_of_predict_but_for_named_ones() -> None:
    for name, parameter in signature(rilievo.stream).parameters.items():
        if name in LIVE_DEFAULTS:
            assert bool(parameter.default) is bool(LIVE_DEFAULTS[name])
        elif name not in OWN | {"model"}:
            default = OPTIONS[name].default
            assert parameter.default == default or parameter.default is bool(default), name


def test_each_reason_is_of_an_option_of_the_command() -> None:
    assert {*NOT_LIVE} <= {option.name for option in list_options(_Arguments)}


WORDS = {
    **{"fps": "5", "tile": "64", "camera": "500", "projection": "pinhole", "shard": "1/2"},
    **{"save": "glb", "surface_points": "200", "drop": "sky", "backing": "0.1"},
    "stereo": "anaglyph",
}
"""Values of flags; of others any text or number."""


@pytest.mark.parametrize("option", list_options(_Arguments), ids=lambda option: option.name)
def test_the_command_refuses_what_a_stream_does_not_have_and_nothing_else(
    option: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    if not option.flag or option.name in ("live", "model", "quality", "trust_code"):
        return
    choices = [word for word in option.choices if word != str(option.default)]
    word = WORDS.get(option.name) or (choices[0] if choices else "1")
    flag = option.off_flag if option.default is True else option.flag
    line = [flag] if option.is_switch else [f"{flag}={word}"]
    code = main(["predict", "--live", "/none/clip.mp4", *line])
    error = capsys.readouterr().err
    reason = reason_not_live(option, draws_pictures=True)
    assert code == 2
    assert f"--live cannot be combined with {option.label}: {reason}" in error or reason is None
    assert "takes no" not in error or reason is not None


@pytest.mark.parametrize("name", ["save", "alpha", "batch_size", "colour_map", "edge", "yes"])
def test_a_keyword_that_a_stream_does_not_have_is_refused_with_the_reason(name: str) -> None:
    options: Any = {name: OPTIONS[name].default}
    with pytest.raises(OptionError, match=f"^rilievo.stream has no option {name}: ") as refused:
        rilievo.stream("clip.mp4", **options)
    assert str(refused.value).endswith(str(reason_not_live(OPTIONS[name], draws_pictures=False)))


def test_a_keyword_that_nobody_has_is_refused_as_python_does() -> None:
    unknown: Any = {"trimm": True}
    with pytest.raises(TypeError, match=r"stream\(\).*'trimm'; did you mean 'trim'"):
        rilievo.stream("clip.mp4", **unknown)


def depth(prediction: rilievo.Prediction) -> np.ndarray:
    return np.where(prediction.depth.valid, prediction.depth.values, np.nan)


@pytest.mark.parametrize(
    "options",
    [
        {"flip": True},
        {"tile": 64},
        {"confidence": "mirror"},
        pytest.param({"projection": "fisheye:120"}, marks=pytest.mark.slow),
        {"vanishing_points": True},
        {"markers": 0.05},
        {"threads": 1},
    ],
    ids=str,
)
def test_frames_are_predicted_with_an_option_as_photographs_are(
    options: dict[str, Any], clip: Path, frames: Sequence[np.ndarray]
) -> None:
    of_photograph = {name: value for name, value in options.items() if name != "threads"}
    if "markers" in options:
        with pytest.raises(CalibrationError, match="no marker with a side"):
            [*rilievo.stream(clip, **options)]
        return
    found = [*rilievo.stream(clip, **options)]
    assert len(found) == len(frames)
    for prediction, pixels in zip(found, frames, strict=True):
        expected = rilievo.predict(pixels, model="rilievo/small", trim=False, **of_photograph)
        np.testing.assert_array_equal(depth(prediction), depth(expected))
        np.testing.assert_array_equal(prediction.confidence, expected.confidence)
        assert prediction.camera == expected.camera


def test_a_known_point_makes_every_frame_metric(clip: Path, frames: Sequence[np.ndarray]) -> None:
    known = [(60, 70, 2.5)]
    for prediction, pixels in zip(
        rilievo.stream(clip, known=known, same_camera=True), frames, strict=True
    ):
        expected = rilievo.predict(pixels, model="rilievo/small", trim=False, known=known)
        assert prediction.depth.kind == "metric"
        assert prediction.depth.values[70, 60] == pytest.approx(2.5, rel=1e-3)
        np.testing.assert_array_equal(depth(prediction), depth(expected))


@pytest.mark.slow
def test_a_sparse_map_is_of_every_frame(
    clip: Path, frames: Sequence[np.ndarray], tmp_path: Path
) -> None:
    sparse = np.zeros(frames[0].shape[:2], np.float32)
    sparse[::9, ::9] = 2.0
    np.save(tmp_path / "sparse.npy", sparse)
    for given in (sparse, tmp_path / "sparse.npy"):
        options: Any = {"sparse": given, "sparse_unit": 1.0, "depth_error": "1%"}
        options["same_camera"] = True
        for prediction in rilievo.stream(clip, **options):
            assert np.nanmedian(depth(prediction)) == pytest.approx(2.0, rel=0.02)


@pytest.mark.parametrize(
    "options",
    [
        {"known": [(60, 70, 2.5)]},
        {"known_length": ["10,10,50,10,0.4"]},
        {"known_rectangle": ["10,10,50,10,50,40,10,40,a4"]},
        {"sparse": np.ones((96, 128), np.float32)},
    ],
    ids=lambda options: next(iter(options)),
)
def test_a_size_of_one_frame_is_refused_with_the_word_that_makes_it_one_of_all(
    options: dict[str, Any],
) -> None:
    [name] = options
    with pytest.raises(OptionError, match=f"{name} applies to one photograph.* add same_camera"):
        rilievo.stream("clip.mp4", **options)


def test_a_folder_of_sparse_depth_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="is a folder; give a single file"):
        rilievo.stream("clip.mp4", sparse=tmp_path, same_camera=True)


def test_fps_keeps_the_frames_that_predict_files_keeps(clip: Path, tmp_path: Path) -> None:
    options = rilievo.PredictOptions(
        model="rilievo/small", fps=5, save="npy", output=tmp_path, independent=True, trim=False
    )
    rilievo.predict_files([clip], options, show=False)
    written = sorted(tmp_path.rglob("*.npy"))
    found = [*rilievo.stream(clip, fps=5)]
    assert len(found) == len(written) == 3
    for prediction, path in zip(found, written, strict=True):
        np.testing.assert_allclose(depth(prediction), np.load(path), rtol=1e-3)


def test_later_frames_without_metres_are_left_out_with_a_warning(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    finish, count = finishing.finish, iter(range(100))

    def finish_some(*arguments: Any, **options: Any) -> rilievo.Prediction:
        if next(count) in (2, 3, 5):
            raise CalibrationError("no floor seen")
        return finish(*arguments, **options)

    monkeypatch.setattr(stream_module, "finish", finish_some)
    with pytest.warns(UserWarning, match="left out: no floor") as warned:
        assert len([*rilievo.stream(clip)]) == 3
    messages = [str(note.message) for note in warned]
    assert [message.split(": ", 1)[1] for message in messages] == ["left out: no floor seen"] * 2
    assert "frame 2" in messages[0]
    assert "frame 5" in messages[1]


def test_the_camera_height_is_that_of_every_frame(tmp_path: Path) -> None:
    field, _ = open_field()
    path = write_clip(tmp_path / "field.mp4", Clip(pictures=[field] * 2))
    found = [*rilievo.stream(path, camera_height=1.5, fov=60)]
    assert [prediction.depth.kind for prediction in found] == ["metric", "metric"]


def test_affine_depth_without_an_anchor_has_no_surface(clip: Path) -> None:
    affine: Any = AffineAnswer(DepthKind.AFFINE_INVERSE)
    for anchor in ("auto", "off"):
        prediction = next(rilievo.stream(clip, model=affine, anchor=anchor))
        assert prediction.has("anchoring") is (anchor == "auto")


def test_options_of_loading_are_refused_for_a_loaded_model() -> None:
    model = rilievo.load_model("rilievo/small")
    with pytest.raises(OptionError, match="threads only applies when a model is loaded"):
        rilievo.stream("clip.mp4", model=model, threads=1)


def test_what_is_said_of_a_video_is_said_of_a_stream(clip: Path, tmp_path: Path) -> None:
    tags = ColourTags(primaries=BT_2020, transfer=PQ, matrix=9)
    signal = np.full((96, 128, 3), 0.4)
    bright = write_signal(tmp_path / "hdr.mkv", signal, tags)
    with pytest.warns(UserWarning, match=r"hdr\.mkv.*sRGB"):
        assert len([*rilievo.stream(bright)]) == 2
    with (
        hosted(tmp_path) as address,
        pytest.warns(UserWarning, match=r"hdr\.mkv.*sRGB"),
    ):
        assert len([*rilievo.stream(f"{address}hdr.mkv")]) == 2
    with pytest.warns(UserWarning, match="100 keeps all frames, because the video has 10 frames"):
        assert len([*rilievo.stream(clip, fps=100)]) == 6
