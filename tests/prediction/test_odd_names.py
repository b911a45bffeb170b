"""File names that are no Unicode: bytes that Python holds as surrogates."""

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from rilievo.errors import OutputError
from rilievo.io.json_record import from_json, to_json
from rilievo.io.outputs.formats import arrays
from rilievo.io.outputs.sidecar import SourceFacts, read_sidecar
from rilievo.io.videos.frame_source import Coding, VideoFormat
from rilievo.io.videos.video import VideoReader
from rilievo.prediction.readback import read_prediction
from rilievo.prediction.saving import OUTPUTS, save
from support.predictions import prediction
from support.written_videos import writing_video

ODD = os.fsdecode(b"\xffok\xe4")


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    """A folder whose own name is no Unicode."""
    folder = tmp_path / ODD
    try:
        folder.mkdir()
    except OSError:
        pytest.skip("this file system takes Unicode names only")
    return folder


@pytest.mark.parametrize("name", OUTPUTS)
def test_every_format_is_written_and_read_under_a_name_that_is_no_unicode(
    odd: Path, name: str
) -> None:
    path, json = save(prediction(name=f"folder/{ODD}.jpg"), odd / ODD, [name])
    assert path.stat().st_size > 100
    sidecar = read_sidecar(json)
    assert sidecar.source.file == f"{ODD}.jpg"
    assert [facts.file for facts in sidecar.files] == [path.name]
    output = OUTPUTS[name]
    if "depth" in output.readable or "normals" in output.readable:
        read_prediction(path)
    if output.json_reader:
        json.unlink()
        read_prediction(path)


def test_names_that_are_no_unicode_survive_the_json() -> None:
    facts = SourceFacts(file=ODD, width=1, height=1)
    text = to_json(facts)
    assert text.isascii()
    assert from_json(SourceFacts, text) == facts


@pytest.mark.parametrize("error", [RuntimeError, ValueError, TypeError])
def test_whatever_openexr_raises_is_one_line(
    odd: Path, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    package = arrays._import_openexr()

    class Failing(package.File):
        def write(self, path: object) -> None:
            raise error(f"no\n{ODD}")

    monkeypatch.setattr(package, "File", Failing)
    with pytest.raises(OutputError, match="no") as caught:
        save(prediction(), odd / "photo", ["exr"])
    assert str(caught.value).isprintable()
    assert list(odd.iterdir()) == []


@pytest.mark.parametrize(("suffix", "coding"), [(".mp4", "picture"), (".mkv", "numbers")])
def test_videos_are_written_and_read_under_a_name_that_is_no_unicode(
    odd: Path, suffix: str, coding: str
) -> None:
    like = VideoFormat(
        size=(32, 32), rate=Fraction(25), time_base=Fraction(1, 1000), coding=Coding(coding)
    )
    path = odd / f"{ODD}{suffix}"
    shape, kind = ((32, 32, 3), np.uint8) if suffix == ".mp4" else ((32, 32), np.uint16)
    with writing_video(path, like) as writer:
        for index in range(3):
            writer.write(np.full(shape, 100, kind), 40 * index)
    assert len(list(VideoReader(path))) == 3
