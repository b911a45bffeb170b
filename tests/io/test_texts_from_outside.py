"""Small files of text, JSON and YAML that are not what they should be."""

import os
from itertools import pairwise
from pathlib import Path

import pytest

from rilievo.errors import InputError, ModelError
from rilievo.io.files.limits import read_text
from rilievo.io.json_record import InvalidRecordError, parse_json, parse_yaml
from rilievo.io.outputs.sidecar import read_sidecar
from rilievo.prediction.readback import read_prediction
from rilievo.prediction.saving import save
from rilievo.training.adapters.pipeline_index import read_index
from support.predictions import prediction

LAUGHS = "\n".join(
    ['a: &a ["x", "x", "x", "x", "x", "x", "x", "x", "x"]']
    + [f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]" for old, new in pairwise("abcdefg")]
)
"""Seven lines that stand for five million values."""

READERS = {
    "photo.json": read_sidecar,
    "model_index.json": lambda path: read_index(path.parent),
}


@pytest.mark.parametrize("name", READERS)
def test_a_pipe_is_refused_before_it_is_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(tmp_path / name)
    with pytest.raises((InputError, ModelError)):
        READERS[name](tmp_path / name)


@pytest.mark.parametrize("name", READERS)
def test_json_that_is_nested_deeper_than_a_stack_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("[" * 100_000)
    with pytest.raises((InputError, ModelError)) as caught:
        READERS[name](tmp_path / name)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["npz", "png16", "npy", "tiff"])
def test_a_pipe_among_results_is_not_waited_for(tmp_path: Path, name: str) -> None:
    path = save(prediction(), tmp_path / "x", [name])[0]
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InputError, match="is a pipe"):
        read_prediction(tmp_path / "x")


def test_an_endless_device_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "x").symlink_to("/dev/zero")
    with pytest.raises(InputError, match="is a device"):
        read_text(tmp_path / "x")


@pytest.mark.parametrize(("size", "shown"), [(65 * 2**20, "65"), (64 * 2**20 + 99_999, "64.1")])
def test_a_text_that_is_too_large_is_not_read(tmp_path: Path, size: int, shown: str) -> None:
    with (tmp_path / "x").open("wb") as file:
        file.truncate(size)
    words = f"has {shown} MiB; expected a text file of at most 64 MiB$"
    with pytest.raises(InputError, match=words):
        read_text(tmp_path / "x")


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "", b"\xff\xfe", "nul"])
def test_what_is_no_json_is_one_kind_of_error(text: str | bytes) -> None:
    with pytest.raises(InvalidRecordError):
        parse_json(text)


@pytest.mark.parametrize(
    "text",
    [LAUGHS, "a: &a [*a]", "[" * 20_000, "a: [", "!!python/object/apply:os.system [x]", "? {a: [}"],
)
def test_yaml_that_unfolds_for_ever_or_makes_objects_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        parse_yaml(text)


def test_yaml_that_refers_to_itself_within_reason_is_read() -> None:
    assert parse_yaml("a: &a [1, 2]\nb: *a\n") == {"a": [1, 2], "b": [1, 2]}
