"""Files are whole or not there, whatever happens while they are written."""

import errno
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rilievo.errors import OutputError
from rilievo.io.files import atomic
from rilievo.io.files.atomic import (
    append_text,
    make_folder,
    move_into_place,
    random_part_path,
    remove,
    replacing,
    scratch_path,
    sweep_parts,
)


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def write_half(path: Path, error: BaseException) -> None:
    with replacing(path) as part:
        part.write_bytes(b"half")
        raise error


def interrupt_in_scratch(path: Path) -> None:
    with scratch_path(path) as scratch:
        scratch.write_bytes(b"half")
        raise KeyboardInterrupt


def one_line(error: pytest.ExceptionInfo[OutputError], path: Path) -> str:
    message = str(error.value)
    assert message.startswith(f"{path}: ")
    assert "\n" not in message
    return message


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "depth.png"
    with replacing(path) as part:
        part.write_bytes(b"half")
        assert names(tmp_path) == [part.name]
        part.write_bytes(b"whole")
    assert names(tmp_path) == ["depth.png"]
    assert path.read_bytes() == b"whole"


def test_a_scratch_file_is_gone_after_its_block_unless_it_got_a_name(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupt_in_scratch(tmp_path / "model.onnx")
    assert names(tmp_path) == []
    with scratch_path(tmp_path / "model.onnx") as scratch:
        scratch.write_bytes(b"whole")
        move_into_place(scratch, tmp_path / "model-1234.onnx")
    assert names(tmp_path) == ["model-1234.onnx"]


def test_text_is_appended_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "log.csv"
    append_text(path, "step,loss\r\n")
    append_text(path, "1,0.5\n")
    assert path.read_bytes() == b"step,loss\r\n1,0.5\n"
    with pytest.raises(OutputError) as caught:
        append_text(tmp_path / "none" / "log.csv", "text")
    one_line(caught, tmp_path / "none" / "log.csv")


@pytest.mark.parametrize("interruption", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_interrupted_file_leaves_the_old_one_and_no_part(
    tmp_path: Path, interruption: type[BaseException]
) -> None:
    path = tmp_path / "depth.png"
    path.write_bytes(b"good")
    with pytest.raises(interruption):
        write_half(path, interruption())
    assert names(tmp_path) == ["depth.png"]
    assert path.read_bytes() == b"good"


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, "the disk is full"),
        (errno.EDQUOT, "quota"),
        (errno.EACCES, "no permission"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "cannot be written completely"),
        (None, "cannot be written completely (3 requested and 1 written): free some space"),
    ],
)
def test_what_the_system_refuses_is_said_in_one_line(
    tmp_path: Path, number: int | None, words: str
) -> None:
    path = tmp_path / "depth.png"
    path.write_bytes(b"good")
    error = OSError("3 requested and 1 written") if number is None else OSError(number, "no")
    with pytest.raises(OutputError) as caught:
        write_half(path, error)
    assert words in one_line(caught, path)
    assert names(tmp_path) == ["depth.png"]
    assert path.read_bytes() == b"good"


@pytest.mark.parametrize(
    "error", [OSError(errno.EIO, "no"), OSError("broken data stream when writing image file")]
)
def test_a_full_disk_is_spoken_of_only_where_the_system_says_so(
    tmp_path: Path, error: OSError
) -> None:
    with pytest.raises(OutputError) as caught:
        write_half(tmp_path / "depth.png", error)
    words = one_line(caught, tmp_path / "depth.png")
    assert "cannot be written completely" in words
    assert "the disk" not in words
    assert "space" not in words


def test_a_folder_of_that_name_is_in_the_way(tmp_path: Path) -> None:
    (tmp_path / "depth.png").mkdir()
    with pytest.raises(OutputError) as caught, replacing(tmp_path / "depth.png"):
        pass
    assert "a folder has this name" in one_line(caught, tmp_path / "depth.png")


def test_a_folder_that_is_missing_or_a_file_is_named(tmp_path: Path) -> None:
    for folder, words in (("nowhere", "its folder does not exist"), ("file", "is a file")):
        (tmp_path / "file").write_bytes(b"")
        path = tmp_path / folder / "depth.png"
        with pytest.raises(OutputError) as caught, replacing(path) as part:
            part.write_bytes(b"")
        assert words in one_line(caught, path)


def test_a_name_that_is_too_long_is_refused_and_the_longest_allowed_is_written(
    tmp_path: Path,
) -> None:
    with pytest.raises(OutputError) as caught, replacing(tmp_path / ("n" * 256)) as part:
        part.write_bytes(b"")
    assert "the name is too long" in one_line(caught, tmp_path / ("n" * 256))
    longest = "ä" * 127
    with replacing(tmp_path / longest) as part:
        part.write_bytes(b"whole")
    assert names(tmp_path) == [longest]


def test_parts_of_two_long_names_are_two_files(tmp_path: Path) -> None:
    one, other = (random_part_path(tmp_path / ("n" * 254 + end)) for end in "ab")
    assert one != other


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_permission_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with (
        pytest.raises(OutputError, match="no permission"),
        replacing(tmp_path / "depth.png") as part,
    ):
        part.write_bytes(b"")
    tmp_path.chmod(0o700)


def test_a_real_limit_of_the_system_is_survived(tmp_path: Path) -> None:
    """A file grows past what the process may write, as on a full disk."""
    path = tmp_path / "depth.npy"
    path.write_bytes(b"good")
    program = f"""
import resource
from pathlib import Path
import numpy as np
from rilievo.io.files.atomic import replacing
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, resource.RLIM_INFINITY))
with replacing(Path({str(path)!r})) as part, part.open("wb") as file:
    np.save(file, np.zeros(100_000))
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith(f"rilievo.errors.OutputError: {path}: ")
    assert names(tmp_path) == ["depth.npy"]
    assert path.read_bytes() == b"good"


def test_parts_of_killed_processes_are_swept_and_others_stay(tmp_path: Path) -> None:
    program = f"""
import os, signal
from pathlib import Path
from rilievo.io.files.atomic import replacing
with replacing(Path({str(tmp_path)!r}) / "depth.png") as part:
    part.write_bytes(b"half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
    ended = subprocess.run([sys.executable, "-c", program])
    assert ended.returncode == -signal.SIGKILL
    [dead] = names(tmp_path)
    mine = random_part_path(tmp_path / "depth.png").name
    foreign = {dead.replace("rilievo-part", "part"), ".mydownload.999999999.part", ".note.part"}
    kept = {"depth.png", ".hidden", mine, f"{dead}.txt", ".rilievo-part", *foreign}
    for name in kept:
        (tmp_path / name).write_bytes(b"")
    assert sweep_parts(tmp_path) == [tmp_path / dead]
    assert set(names(tmp_path)) == kept


def leave_part(path: Path) -> None:
    """Leave a part behind: a process is killed while it writes a file."""
    program = f"""
import os, signal
from pathlib import Path
from rilievo.io.files.atomic import replacing
with replacing(Path({str(path)!r})):
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == -signal.SIGKILL


def test_the_next_process_that_writes_into_a_folder_sweeps_it(tmp_path: Path) -> None:
    leave_part(tmp_path / "small.onnx")
    left = names(tmp_path)
    leave_part(tmp_path / "other.onnx")
    assert len(names(tmp_path)) == len(left) == 1
    assert names(tmp_path) != left
    with replacing(tmp_path / "small.onnx") as part:
        part.write_bytes(b"whole")
    assert names(tmp_path) == ["small.onnx"]


def test_a_folder_that_may_not_be_read_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: Path) -> None:
        raise PermissionError(errno.EACCES, "no permission")

    monkeypatch.setattr(os, "scandir", refuse)
    with replacing(tmp_path / "depth.png") as part:
        part.write_bytes(b"whole")
    assert (tmp_path / "depth.png").read_bytes() == b"whole"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="a system without /proc")
def test_a_killed_process_that_its_parent_did_not_wait_for_is_dead(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", ""], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None, "it has a pipe"
        process.stdout.read()  # ends with the process
        part = tmp_path / f".depth.png.{process.pid}-0.rilievo-part"
        part.write_bytes(b"half")
        while b") Z " not in Path(f"/proc/{process.pid}/stat").read_bytes():
            time.sleep(0.01)
        assert sweep_parts(tmp_path) == [part]


def test_a_part_of_an_earlier_process_with_our_number_is_swept_after_a_day(tmp_path: Path) -> None:
    mine, earlier = (random_part_path(tmp_path / "depth.png") for _ in range(2))
    for part in (mine, earlier):
        part.write_bytes(b"half")
    two_days_ago = time.time() - 2 * 86_400
    os.utime(earlier, (two_days_ago, two_days_ago))
    assert sweep_parts(tmp_path) == [earlier]
    assert mine.exists()


def test_two_threads_that_write_the_same_path_do_not_share_a_part(tmp_path: Path) -> None:
    path, both_wrote = tmp_path / "depth.png", threading.Barrier(2, timeout=10)

    def write(content: bytes) -> None:
        with replacing(path) as part:
            part.write_bytes(content)
            both_wrote.wait()
            assert part.read_bytes() == content

    with ThreadPoolExecutor(2) as threads:
        list(threads.map(write, [b"one", b"another"]))
    assert names(tmp_path) == ["depth.png"]
    assert path.read_bytes() in (b"one", b"another")


def test_a_new_folder_is_synced_into_the_one_that_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Otherwise a power cut takes the folder, with files that were synced into it."""
    synced: list[Path] = []
    monkeypatch.setattr(atomic, "sync_folder", synced.append)
    make_folder(tmp_path / "a" / "b" / "c")
    assert sorted(synced) == [tmp_path, tmp_path / "a", tmp_path / "a" / "b"]
    synced.clear()
    make_folder(tmp_path / "a" / "b" / "d")
    make_folder(tmp_path / "a" / "b" / "d")
    assert synced == [tmp_path / "a" / "b"]


def test_a_folder_cannot_be_made_over_a_file(tmp_path: Path) -> None:
    make_folder(tmp_path / "a" / "b")
    make_folder(tmp_path / "a" / "b")
    (tmp_path / "file").write_bytes(b"")
    for path in (tmp_path / "file", tmp_path / "file" / "deeper"):
        with pytest.raises(OutputError) as caught:
            make_folder(path)
        one_line(caught, path)


def test_removing_a_folder_is_refused_and_removing_nothing_is_fine(tmp_path: Path) -> None:
    remove(tmp_path / "nothing")
    with pytest.raises(OutputError):
        remove(tmp_path)


def test_sweeping_a_folder_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="does not exist"):
        sweep_parts(tmp_path / "nowhere")
