"""Broken files that the campaign found, each with the reader that it broke."""

import os
import zipfile
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from lab.torture.readers import all_readers
from rilievo.data.datasets.sets.vda_videos import _parse_frame
from rilievo.data.datasets.text_files import text_lines
from rilievo.errors import InputError, OptionError
from rilievo.evaluation.benchmarks.suite import find_suite
from rilievo.geometry.cameras.spelling import read_spelling
from rilievo.io.verification import _archive_fault
from rilievo.models.catalogue.download import hash_record_path, hub_token, read_hash_record
from rilievo.models.onnx_files.agreement import _compare_output
from rilievo.predicting.metres.size_files import read_known_csv
from rilievo.predicting.metres.sparse import read_sparse


def test_a_member_of_an_unknown_compression_is_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.npy", b"x")
    content = path.read_bytes()
    at = content.index(b"PK\1\2") + 10
    local = content[:8] + b"\x63\0" + content[10:at] + b"\x63\0" + content[at + 2 :]
    path.write_bytes(local)
    fault = _archive_fault(path)
    assert fault is not None
    assert fault.startswith("is broken (")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
def test_a_pipe_in_the_place_of_a_token_or_record_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HF_TOKEN", raising=False)
    monkeypatch.setenv("HF_TOKEN_PATH", str(tmp_path / "token"))
    monkeypatch.setenv("RILIEVO_CACHE", str(tmp_path))
    record = hash_record_path(tmp_path / "x.onnx")
    record.parent.mkdir()
    for path in (tmp_path / "token", record):
        os.mkfifo(path)
    assert hub_token() is None
    assert read_hash_record(tmp_path / "x.onnx") is None


def test_a_key_of_many_parts_is_no_suite(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text("a" + ".a" * 2000 + " = 1\n")
    with pytest.raises(InputError, match="a line has more than 1000 dots"):
        find_suite(path)


def test_sound_that_cannot_be_copied_ends_there(tmp_path: Path) -> None:
    av = pytest.importorskip("av")
    from rilievo.io.videos.video_writer import Sound

    class Full:
        def mux(self, packet: object) -> None:
            raise av.error.ArgumentError(22, "Invalid argument")

    all_readers()["video: its sound"].write(tmp_path)
    with av.open(str(tmp_path / "y.mkv"), "w") as container:
        sound = Sound(tmp_path / "x.mp4", container, origin=Fraction(0))
        sound._target = Full()
        sound.copy_until(None)
    assert sound.fault is not None
    assert "its sound is damaged" in sound.fault


def test_a_cell_without_end_is_no_table_of_points(tmp_path: Path) -> None:
    path = tmp_path / "known.csv"
    path.write_text("file,u,v,metres\n" + "x" * 200_000 + "\n")
    with pytest.raises(InputError, match=r"known\.csv: is not a CSV table"):
        read_known_csv(path)


def test_a_signalling_nan_is_no_depth() -> None:
    depth = np.frombuffer(b"\x01\0\x80\x7f" + b"\0\0\x80\x3f", "<f4").reshape(1, 2)
    measured = read_sparse(depth, (1, 2), 1.0).measured
    assert measured is not None
    assert measured.tolist() == [[0.0, 1.0]]


def test_a_factor_that_no_float_holds_is_refused() -> None:
    with pytest.raises(InputError, match="needs a positive number 'factor'"):
        _parse_frame(Path("x.json"), "scene", {"factor": 10**400, "image": "a", "gt_depth": "b"})


def test_answers_that_are_not_finite_differ_by_nan() -> None:
    infinite = np.full((1, 2), np.inf, np.float32)
    assert np.isnan(_compare_output(infinite, infinite).most)


def test_lines_and_lenses_without_end_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.txt"
    path.write_text("1 " * 4_000_000)
    with pytest.raises(InputError, match="line 1 has 8,000,000 characters"):
        [*text_lines(path)]
    with pytest.raises(OptionError, match="got 8,000,000 characters"):
        read_spelling("1 " * 4_000_000)
