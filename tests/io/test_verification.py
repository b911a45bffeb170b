"""``rilievo verify`` finds every file that is not what was written, and says of old ones that."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rilievo.cli import main
from rilievo.errors import InputError
from rilievo.io.checksums import (
    CHECKSUMS,
    CheckLevel,
    compute_file_sum,
    first_fault,
    write_checksums,
)
from rilievo.io.training_files import FEATURES_SUFFIX, FRAMES_SUFFIX, append_onnx_checksum
from rilievo.io.verification import verify
from rilievo.prediction.saving import OUTPUTS, save
from support.predictions import prediction


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("saved")
    save(prediction(), folder / "photo", list(OUTPUTS))
    save(prediction(), folder / "deep" / "[other]", ["npz"])
    return folder


@pytest.fixture
def results(saved: Path, tmp_path: Path) -> Path:
    return shutil.copytree(saved, tmp_path, dirs_exist_ok=True)


def damaged(data: bytes) -> bytes:
    """One bit of the middle."""
    middle = len(data) // 2
    return data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :]


def test_whole_results_are_whole(results: Path) -> None:
    found = verify(results)
    assert (found.whole, found.faults) == (len(OUTPUTS) + 1, ())


@pytest.mark.parametrize("output", OUTPUTS.values(), ids=list(OUTPUTS))
@pytest.mark.parametrize(
    ("damage", "word"),
    [
        (damaged, "sha256"),
        (lambda data: bytes(len(data)), "sha256"),
        (lambda data: data[:-1], "bytes instead of"),
        (lambda data: b"", "0 bytes"),
    ],
)
def test_a_file_that_changed_is_the_one_that_is_named(
    results: Path, output: object, damage: Callable[[bytes], bytes], word: str
) -> None:
    path = results / f"photo{output.suffix}"  # pyright: ignore[reportAttributeAccessIssue]
    path.write_bytes(damage(path.read_bytes()))
    [fault] = verify([results]).faults
    assert fault.file == str(path)
    assert word in fault.what


def test_what_is_missing_or_did_not_end_is_said(results: Path) -> None:
    (results / "photo.npz").unlink()
    (results / "deep" / "[other].json").write_bytes(b"\0" * 100)
    (results / ".third.json.pending").write_text("{}")
    found = {Path(fault.file).name: fault.what for fault in verify(results).faults}
    assert found["photo.npz"] == "is missing"
    assert "no content" in found["[other].json"]
    assert "resume" in found["third.json"]
    assert len(found) == 3


def test_a_folder_with_checksums_a_model_and_kept_predictions(tmp_path: Path) -> None:
    run, kept = tmp_path / "run", tmp_path / "predictions"
    run.mkdir()
    kept.mkdir()
    (run / "weights.safetensors").write_bytes(b"weights")
    (run / "record.json").write_text("{}")
    write_checksums(run / CHECKSUMS, ("weights.safetensors", "record.json"))
    (run / "small.onnx").write_bytes(bytes(range(256)))
    append_onnx_checksum(run / "small.onnx")
    (kept / "fingerprint.json").write_text("{}")
    np.savez(kept / "a.npz", depth=np.ones((9, 9)))
    assert verify(tmp_path).whole == 4
    for path in (run / "weights.safetensors", run / "small.onnx", kept / "a.npz"):
        whole = path.read_bytes()
        path.write_bytes(damaged(whole))
        assert [fault.file for fault in verify(tmp_path).faults] == [str(path)]
        path.write_bytes(whole)
    (run / CHECKSUMS).write_bytes(b"")
    assert [Path(fault.file).name for fault in verify(tmp_path).faults] == [CHECKSUMS]
    (run / CHECKSUMS).write_text('{"format": "rilievo-checksums/1", "files": {"../x": {}}}')
    assert not verify(tmp_path).is_whole


def test_a_record_without_checksums_is_named_beside_whole_results(results: Path) -> None:
    (results / "run").mkdir()
    (results / "run" / "evaluation.json").write_text("{}")
    [fault] = verify(results).faults
    assert fault.file == str(results / "run" / "evaluation.json")
    assert CHECKSUMS in fault.what


def test_the_sum_of_an_onnx_file_is_written_once_and_changes_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    path.write_bytes(b"graph")
    append_onnx_checksum(path)
    once = path.read_bytes()
    append_onnx_checksum(path)
    assert path.read_bytes() == once
    assert once.startswith(b"graph")


def test_the_command_names_bad_files_and_ends_with_1(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(results)]) == 0
    (results / "photo.ply").write_bytes(b"")
    assert main(["verify", str(results)]) == 1
    assert f"{results / 'photo.ply'}: is empty (0 bytes)" in capsys.readouterr().out
    assert main(["verify", str(results), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)["faults"][0]["file"] == str(results / "photo.ply")


def test_where_nothing_was_written_down_it_says_so(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    for path in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(InputError):
            verify(path)


def test_a_file_that_rightly_ends_in_zeros_is_whole(tmp_path: Path) -> None:
    content = b"head" + bytes(9000)
    (tmp_path / "a.npy").write_bytes(content)
    sums = {"a.npy": compute_file_sum(tmp_path / "a.npy")}
    for thoroughness in CheckLevel:
        assert first_fault(tmp_path, sums, thoroughness) is None
    (tmp_path / "a.npy").write_bytes(b"Head" + bytes(9000))
    assert first_fault(tmp_path, sums, CheckLevel.SIZES) is None
    assert first_fault(tmp_path, sums, CheckLevel.ENDS) is not None
    assert "sha256" in (first_fault(tmp_path, sums, CheckLevel.HASHES) or "")


def test_a_link_to_nothing_among_features_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / f"a{FEATURES_SUFFIX}").symlink_to(tmp_path / "nothing")
    [fault] = verify(tmp_path).faults
    assert fault.what == "is not a file: delete it, and rilievo creates it again"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no named pipes")
@pytest.mark.parametrize("name", ["net.onnx", "a.npz", f"b{FEATURES_SUFFIX}", f"c{FRAMES_SUFFIX}"])
def test_a_pipe_with_the_name_of_a_file_is_a_fault_and_is_not_waited_for(
    results: Path, name: str
) -> None:
    os.mkfifo(results / name)
    assert [fault.what for fault in verify(results).faults] == ["is not a regular file"]
