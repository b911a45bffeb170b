"""Order of writes for power cuts: data are synced before their names, and the JSON comes last."""

import hashlib
import json
import os
import threading
from collections.abc import Sequence
from pathlib import Path

import pytest

from rilievo.errors import OutputError
from rilievo.io.files.atomic import random_part_path, replacing, replacing_folder, sync_files
from rilievo.io.files.commit import commit_all
from rilievo.io.outputs.overwrite_policy import pending_path
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.prediction.saving import OUTPUTS, save, write_part_files
from support.predictions import prediction

Call = tuple[str, str]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Call]:
    """Every sync and rename, in order: ("sync", name) and ("name", new name)."""
    seen: list[Call] = []
    sync, rename = os.fsync, os.replace

    def fsync(file: int) -> None:
        seen.append(("sync", Path(os.readlink(f"/proc/self/fd/{file}")).name))
        sync(file)

    def replace(source: str, target: str) -> None:
        seen.append((f"from {Path(source).name}", Path(target).name))
        rename(source, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "replace", replace)
    monkeypatch.setattr(Path, "replace", lambda path, target: replace(path, target))
    return seen


def renamed(calls: Sequence[Call], name: str) -> int:
    """Renamed files, each checked to be synced before."""
    [index] = [i for i, (what, to) in enumerate(calls) if what.startswith("from") and to == name]
    part = calls[index][0].removeprefix("from ")
    assert ("sync", part) in calls[:index], f"{name} was named before it was synced"
    return index


def test_a_file_is_synced_before_its_name_and_its_folder_after(
    tmp_path: Path, calls: list[Call]
) -> None:
    with replacing(tmp_path / "a.txt") as part:
        part.write_text("a")
    assert ("sync", tmp_path.name) in calls[renamed(calls, "a.txt") :]


def test_a_folder_is_synced_with_all_that_is_in_it(tmp_path: Path, calls: list[Call]) -> None:
    with replacing_folder(tmp_path / "frames") as part:
        (part / "0.png").write_text("0")
    index = renamed(calls, "frames")
    assert ("sync", "0.png") in calls[:index]
    assert ("sync", tmp_path.name) in calls[index:]


def test_the_json_gets_its_name_when_all_others_are_on_the_disk(
    tmp_path: Path, calls: list[Call]
) -> None:
    save(prediction(), tmp_path / "photo", list(OUTPUTS))
    notice = renamed(calls, ".photo.json.pending")
    data = [renamed(calls, f"photo{output.suffix}") for output in OUTPUTS.values()]
    record = renamed(calls, "photo.json")
    assert notice < min(data)
    assert max(data) < record
    folder = ("sync", tmp_path.name)
    assert folder in calls[notice : min(data)]
    assert folder in calls[max(data) : record]
    assert folder in calls[record:]


def test_sets_that_are_placed_together_share_the_syncs_of_their_folder(
    tmp_path: Path, calls: list[Call]
) -> None:
    sets = [write_part_files(prediction(), tmp_path / f"{index}", ["npy"]) for index in range(8)]
    calls.clear()
    assert commit_all(sets) == [None] * 8
    assert calls.count(("sync", tmp_path.name)) == 3
    named = {to: index for index, (what, to) in enumerate(calls) if what != "sync"}
    records = [named[f"{index}.json"] for index in range(8)]
    assert max(named[f"{index}.depth.npy"] for index in range(8)) < min(records)


def test_the_json_does_not_list_a_file_that_was_cut(tmp_path: Path) -> None:
    """Results to which another run adds a format."""
    save(prediction(), tmp_path / "photo", ["npy", "npz"])
    (tmp_path / "photo.npz").write_bytes(b"cut")
    save(prediction(), tmp_path / "photo", ["colour"])
    listed = json.loads((tmp_path / "photo.json").read_text())
    assert {each["file"] for each in listed["files"]} == {"photo.depth.npy", "photo.depth.png"}
    assert listed["earlier"] == ["photo.npz"]


def test_a_sync_that_fails_leaves_what_was_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system may say only then that a disk is full or broken."""
    save(prediction(), tmp_path / "photo", ["npy", "npz"])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    sync = os.fsync

    def refuse(file: int) -> None:
        if os.path.isdir(f"/proc/self/fd/{file}"):
            sync(file)
        else:
            raise OSError(5, "Input/output error")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(OutputError, match=r"photo\.\S+: cannot be written completely"):
        save(prediction(), tmp_path / "photo", ["npy", "npz"], SaveOptions(overwrite=True))
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_files_are_synced_one_by_one_where_no_thread_can_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"{number}.txt" for number in range(3)]
    for path in paths:
        path.write_text("text")
    started: list[threading.Thread] = []

    def start(thread: threading.Thread) -> None:
        started.append(thread)
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", start)
    assert sync_files([*paths, tmp_path / "absent"])[:3] == [None, None, None]
    assert started
    assert isinstance(sync_files([*paths, tmp_path / "absent"])[3], FileNotFoundError)


def test_a_file_system_that_knows_no_syncing_is_written_to_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(file: int) -> None:
        raise OSError(22, "Invalid argument")

    monkeypatch.setattr(os, "fsync", refuse)
    save(prediction(), tmp_path / "photo", ["npz"])
    assert (tmp_path / "photo.json").exists()


def test_the_json_knows_every_file_by_size_and_sha256(tmp_path: Path) -> None:
    save(prediction(), tmp_path / "photo", list(OUTPUTS))
    for facts in json.loads((tmp_path / "photo.json").read_text())["files"]:
        path = tmp_path / facts["file"]
        assert facts["bytes"] == path.stat().st_size
        assert facts["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.parametrize("content", [b"", b"\0" * 4096, b'{\n "format": "rilievo/1",\n "sour'])
@pytest.mark.parametrize("names", [["npz"], ["colour", "npy", "ply", "glb", "html", "tiff"]])
def test_a_json_without_content_does_not_block_its_photograph(
    tmp_path: Path, content: bytes, names: list[str]
) -> None:
    save(prediction(), tmp_path / "photo", names)
    (tmp_path / "photo.json").write_bytes(content)
    save(prediction(), tmp_path / "photo", names, SaveOptions(overwrite=True))
    assert json.loads((tmp_path / "photo.json").read_text())["files"]


@pytest.mark.parametrize("damage", [b"", b"\0" * 300, b'{\n "format": "rilievo/1",\n "so'])
def test_files_whose_json_has_no_content_are_made_anew_one_after_the_other(
    damage: bytes, tmp_path: Path
) -> None:
    names = ("npz", "html")
    save(prediction(), tmp_path / "cat", names)
    whole = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    (tmp_path / "cat.json").write_bytes(damage)
    for name in names:
        path = tmp_path / f"cat.{name}"
        path.write_bytes(path.read_bytes()[:-300])
    (tmp_path / "cat.glb").write_bytes(b"of another program")
    for name in names:
        save(prediction(), tmp_path / "cat", [name])
    (tmp_path / "cat.glb").unlink()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == whole


@pytest.mark.parametrize("json_text", ["", '{"mine": 1}', None])
def test_files_of_other_programs_stay_whatever_their_json_is(
    tmp_path: Path, json_text: str | None
) -> None:
    mine = tmp_path / "photo.npz"
    mine.write_text("mine")
    if json_text is not None:
        (tmp_path / "photo.json").write_text(json_text)
    with pytest.raises(OutputError, match="did not write this file"):
        save(prediction(), tmp_path / "photo", ["npz"], SaveOptions(overwrite=True))
    assert mine.read_text() == "mine"


def test_a_link_that_was_planted_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Links are not followed even if the name of a part could be guessed."""
    victim = tmp_path / "victim"
    victim.write_text("precious")
    folder = tmp_path / "out"
    folder.mkdir()
    monkeypatch.setattr(os, "urandom", lambda count: b"\1" * count)
    planted = random_part_path(folder / "a.txt")
    planted.symlink_to(victim)
    with pytest.raises(OutputError), replacing(folder / "a.txt") as part:
        part.write_text("overwritten")
    assert victim.read_text() == "precious"
    assert not (folder / "a.txt").exists()


def test_a_link_that_takes_the_place_of_a_part_does_not_become_the_result(tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.write_text("precious")

    def swap() -> None:
        with replacing(tmp_path / "a.txt") as part:
            part.unlink()
            part.symlink_to(victim)

    with pytest.raises(OutputError):
        swap()
    assert not (tmp_path / "a.txt").is_symlink()
    assert victim.read_text() == "precious"


def test_parts_have_names_that_nobody_can_guess(tmp_path: Path) -> None:
    names = {random_part_path(tmp_path / "a.txt").name.split("-")[1] for _ in range(20)}
    assert len(names) == 20
    assert min(map(len, names)) >= 16


def test_a_list_that_cannot_be_removed_does_not_make_a_photograph_fail(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    unlink = Path.unlink

    def refuse(path: Path, missing_ok: bool = False) -> None:
        if path.name.endswith(".pending"):
            raise OSError(5, "Input/output error")
        unlink(path, missing_ok=missing_ok)

    monkeypatch.setattr(Path, "unlink", refuse)
    save(prediction(), tmp_path / "photo", ["npz"])
    assert (tmp_path / "photo.json").exists()
    assert pending_path(tmp_path / "photo").exists()
