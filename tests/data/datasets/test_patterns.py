"""Files found by a pattern: odd names, links and circles, and folders that may not be read."""

import os
from pathlib import Path

import pytest

from rilievo.data.datasets import DATASETS, open_dataset
from rilievo.data.datasets.id_patterns import files_by_id
from rilievo.errors import InputError


def put(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"")


def test_odd_names_are_ids_like_others(tmp_path: Path) -> None:
    names = ("-a", "b c", "two\nlines", "\udcff", "rooms/a", "a.b")
    put(tmp_path, *(f"images/{name}.png" for name in names), "images/.hidden.png", "other/x.png")
    assert set(files_by_id(tmp_path, "images/{id}.png")) == set(names)


def test_links_to_folders_are_followed_but_not_in_circles(tmp_path: Path) -> None:
    put(tmp_path, "images/b.png", "elsewhere/a.png")
    (tmp_path / "images" / "rooms").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "images" / "up").symlink_to(tmp_path)
    (tmp_path / "elsewhere" / "self").symlink_to(".")
    assert list(files_by_id(tmp_path, "images/{id}.png")) == ["b", "rooms/a"]


def test_an_id_in_two_places_of_a_pattern_is_the_same(tmp_path: Path) -> None:
    put(tmp_path, "s1/s1_depth.png", "s1/s2_depth.png", "s2/s2_depth.png")
    assert list(files_by_id(tmp_path, "{id}/{id}_depth.png")) == ["s1", "s2"]


def test_two_files_of_one_id_are_refused(tmp_path: Path) -> None:
    put(tmp_path, "a.png", "a.jpg")
    with pytest.raises(InputError, match=r"both match '\{id\}\.\*' with the id 'a'"):
        files_by_id(tmp_path, "{id}.*")


def test_a_folder_that_may_not_be_read_is_not_taken_for_empty(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "images/a.png", "images/closed/b.png")
    real = os.scandir

    def guarded(path: str) -> object:
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setattr(os, "scandir", guarded)
    with pytest.raises(InputError, match=r"closed: the file cannot be read \(Permission denied\)"):
        files_by_id(tmp_path, "images/{id}.png")


@pytest.mark.parametrize("name", sorted(DATASETS))
def test_a_root_that_no_system_takes_is_one_line(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"x\.\.\.: .* cannot be read \(File name too long\)"):
        open_dataset(name, tmp_path / ("x" * 5000))
