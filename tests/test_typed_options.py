"""Values of options: their types are checked once, for command lines, keywords and requests."""

import math
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rilievo
from rilievo.cli import USAGE_ERROR, main
from rilievo.cli.parsing import parse_words
from rilievo.errors import OptionError, RilievoError
from rilievo.predicting.options import RECORDS, PredictOptions
from rilievo.schema.fields import Interface, build_record, option_names
from support.every_command import COMMAND_LINES, flagged, needed_words, record_of


class ToyDataset:
    """Object that is no argument of any call."""


BY_COMMAND = pytest.mark.parametrize("command", COMMAND_LINES, ids=" ".join)


@pytest.fixture(autouse=True)
def empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refusal(words: Sequence[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line with which a command line is refused."""
    capsys.readouterr()
    assert main(words) == USAGE_ERROR, words
    text = capsys.readouterr()
    assert text.out == "", words
    [line] = text.err.splitlines()
    assert line.startswith("rilievo: "), words
    assert "defect" not in line, words
    return line


@BY_COMMAND
def test_no_option_takes_two_hyphens_for_a_value(
    command: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for one in flagged(command):
        for flag in one.all_flags:
            line = refusal([*command, *needed_words(command), f"{flag}=--"], capsys)
            if not one.is_switch:
                assert f"{one.label} needs a value: {one.metavar}" in line


@BY_COMMAND
def test_a_number_is_never_nan(command: Sequence[str], capsys: pytest.CaptureFixture[str]) -> None:
    for one in flagged(command):
        if one.item_type in (int, float):
            count = str(one.value_type).count("float") or 1
            for value in ("nan", "inf", "-inf", "1e999"):
                words = [f"{one.flag}={','.join([value] * count)}"]
                line = refusal([*command, *needed_words(command), *words], capsys)
                assert one.label in line


@BY_COMMAND
@pytest.mark.parametrize("value", ["nan", "--", ""])
def test_any_word_is_read_or_refused_in_a_line(command: Sequence[str], value: str) -> None:
    record = record_of(command)
    for one in flagged(command):
        for flag in one.all_flags:
            words = [*needed_words(command), flag, value]
            with suppress(RilievoError):
                build_record(record, parse_words(record, words, "rilievo"))


@BY_COMMAND
def test_an_option_given_twice_adds_up_or_is_refused(
    command: Sequence[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for one in flagged(command):
        value = next(iter(one.choices), "1")
        words = [one.flag] if one.is_switch else [f"{one.flag}={value}"]
        if one.takes_many or one.is_list:
            continue
        others = needed_words(command, without=one)
        line = refusal([*command, *others, *words, *words], capsys)
        assert f"{one.label} is given twice" in line
    for one in flagged(command):
        if one.is_switch:
            both = [*command, *needed_words(command), one.flag, one.off_flag]
            assert "is given twice" in refusal(both, capsys)


def test_lists_add_up() -> None:
    words = ["p.jpg", "--save", "npy", "--save=ply,glb", "--set", "a=1", "--set", "b=2"]
    fields = parse_words(record_of(("predict",)), words, "rilievo predict")
    assert fields["options.saving.save"] == "npy,ply,glb"
    assert fields["options.network.settings"] == ("a=1", "b=2")
    fields = parse_words(record_of(("serve",)), ["--offer=a", "--offer", "b,c"], "rilievo serve")
    assert fields["offer"] == "a,b,c"
    words = [
        "frames",
        "-o",
        "run",
        "--scales",
        "0",
        "--scales=1,2",
        "--offsets",
        "-1",
        "--offsets=1",
    ]
    fields = parse_words(record_of(("train", "video")), words, "rilievo train video")
    values = [value for path, value in fields.items() if path.endswith(("scales", "offsets"))]
    assert sorted(values) == [(-1, 1), (0, 1, 2)]


def test_an_option_and_its_other_spelling_are_one(capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["-o", "a", "--output", "b"], ["--colour-map=grey", "--color_map", "turbo"]):
        assert "is given twice" in refusal(["predict", "p.jpg", *words], capsys)
        assert "is given 4 times" in refusal(["predict", "p.jpg", *words, *words], capsys)


ODD: tuple[Any, ...] = (
    *(0, -1, 10**400, -(10**400), 80.0, 80.5, math.nan, math.inf, 1e-320, 2 + 1j, True, None),
    *("", " ", "--", "nan", "x" * 5000, "a\nb", "\ud800", b"x", bytearray(b"1"), Path("x")),
    *([], [1], [1, 2, 3, 4], ["a"], [[1, 2], [3]], (), (None,), {}, {"a": 1}, {1}, range(3)),
    *(np.zeros(0), np.zeros(3), np.ones((3, 3)), np.ones((2, 2), bool), np.array(5), np.array("a")),
    *(np.float32(70), np.int64(70), np.bool_(True), np.array([None]), object(), int, print, ...),
)
"""Values of every kind that users and programs give by mistake."""


@pytest.mark.parametrize(
    ("record", "name"),
    [(record, name) for record in RECORDS.values() for name in option_names(record)],
)
def test_odd_values_of_keywords_are_taken_or_refused(record: type, name: str) -> None:
    for value in ODD:
        for make in (record, PredictOptions):
            with suppress(RilievoError):
                make(**{name: value})


@pytest.mark.parametrize(
    "name", [name for record in RECORDS.values() for name in option_names(record, Interface.PYTHON)]
)
def test_odd_keywords_of_predict_are_taken_or_refused(name: str) -> None:
    picture = np.arange(24 * 32 * 3, dtype=np.uint8).reshape(24, 32, 3)
    for value in ODD:
        with suppress(RilievoError):
            rilievo.predict(picture, **({"model": "rilievo/small"} | {name: value}))


def test_numbers_of_arrays_are_taken_as_numbers() -> None:
    options = PredictOptions(tile=np.int64(80), fov=np.float32(60), flip=np.bool_(True))
    assert (options.refine.tile, options.view.fov, options.refine.flip) == (80, 60.0, True)
    kinds = (options.refine.tile, options.view.fov, options.refine.flip)
    assert [*map(type, kinds)] == [int, float, bool]
    assert PredictOptions(tile=80.0).refine.tile == 80


def test_parameters_of_requests_add_up_or_are_given_once() -> None:
    pytest.importorskip("pydantic", reason="the extra 'serve' is not installed")
    pytest.importorskip("starlette", reason="the extra 'serve' is not installed")
    from rilievo.serving.server.params import PredictParams, read_params

    params = read_params(PredictParams, [("save", "npy"), ("save", "ply,glb")], {"save": ["turn"]})
    assert params.save == "npy,ply,glb,turn"
    params = read_params(PredictParams, [("drop", "sky"), ("at", "1,2")], {"at": ["3,4"]})
    assert (params.drop, params.at) == ("sky", ["1,2", "3,4"])
    for query, form in (
        ([("fov", "60"), ("fov", "60")], {}),
        ([("fov", "60")], {"fov": ["70"]}),
        ([("color_map", "grey"), ("colour_map", "turbo")], {}),
    ):
        with pytest.raises(OptionError, match="is given twice: give it once"):
            read_params(PredictParams, query, form)
    for name in ("fov", "edge", "camera_height", "surface_points", "sparse_unit", "markers"):
        for value in ("nan", "inf", "--", "1e999"):
            with pytest.raises(RilievoError):
                assert read_params(PredictParams, [(name, value)], {}).options


@pytest.mark.parametrize("value", [ToyDataset(), 5, ["nyuv2-eigen"], {"limit": 3}, np.zeros(3)])
@pytest.mark.parametrize(
    ("call", "before", "name", "takes"),
    [
        ("evaluate", ["rilievo/small"], "benchmark", "a Benchmark or the name of a benchmark"),
        ("evaluate", ["rilievo/small", "nyuv2-eigen", "x"], "options", "an EvaluateOptions"),
        ("predict_files", ["x.jpg"], "options", "a PredictOptions"),
        ("export_model", ["rilievo/small", "x.onnx"], "options", "an ExportOptions"),
        ("fuse_clip", ["clip", "out.ply"], "options", "a FuseOptions"),
        ("open_dataset", [], "name", "the name of a dataset"),
        ("save", [], "prediction", "a Prediction"),
    ],
)
def test_an_argument_of_another_type_is_named_with_what_it_takes(
    call: str, before: list[str], name: str, takes: str, value: object
) -> None:
    arguments = [*before, value, "out/photo"] if call == "save" else [*before, value]
    with pytest.raises(OptionError) as refusal:
        getattr(rilievo, call)(*arguments)
    assert str(refusal.value) == f"{name} must be {takes}, got {type(value)!r}"


def test_a_missing_argument_and_an_unknown_one_are_answered_by_python() -> None:
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'benchmark'"):
        rilievo.evaluate("rilievo/small")  # pyright: ignore[reportCallIssue]
    with pytest.raises(TypeError, match="unexpected keyword argument 'dataset'"):
        rilievo.evaluate("rilievo/small", dataset="x")  # pyright: ignore[reportCallIssue]
