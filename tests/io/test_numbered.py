"""Numbered frames that a pattern names, such as ``shot.%04d.png``."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rilievo
from rilievo.cli import main
from rilievo.data.clips.footage import VideoData
from rilievo.data.clips.sources import list_sequences
from rilievo.errors import InputError
from rilievo.io.files.numbered import (
    find_numbered_files,
    is_numbered_pattern,
    name_of_numbered,
)
from rilievo.io.videos.frame_folder import FrameFolder

NAMES = (
    *("shot.0009.png", "shot.0010.png", "shot.0012.png", "shot.10000.png", "shot.00013.png"),
    *("shot.9.png", "shot.12.png", "shot.0011.jpg", "xshot.0011.png", "shot.0011.png.txt"),
    *("a%3.png", "0005.png", "0006.png", "b7c.png", "v2_0001.png"),
)


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("shot.%04d.png", ["shot.0009.png", "shot.0010.png", "shot.0012.png", "shot.10000.png"]),
        ("shot.####.png", ["shot.0009.png", "shot.0010.png", "shot.0012.png", "shot.10000.png"]),
        ("shot.%d.png", ["shot.9.png", "shot.12.png", "shot.10000.png"]),
        ("shot.#.png", ["shot.9.png", "shot.12.png", "shot.10000.png"]),
        ("shot.%05d.png", ["shot.00013.png", "shot.10000.png"]),
        ("%04d.png", ["0005.png", "0006.png"]),
        ("b#c.png", ["b7c.png"]),
        ("v2_####.png", ["v2_0001.png"]),
        ("a%%%d.png", ["a%3.png"]),
        ("none.%04d.png", []),
    ],
)
def test_the_files_of_a_pattern_are_found_in_order(
    tmp_path: Path, pattern: str, found: list[str]
) -> None:
    for name in NAMES:
        (tmp_path / name).touch()
    assert is_numbered_pattern(tmp_path / pattern)
    assert [path.name for path in find_numbered_files(tmp_path / pattern).paths] == found


def test_what_is_no_pattern(tmp_path: Path) -> None:
    (tmp_path / "photo #3.png").touch()
    for name in ("photo #3.png", "shot.png", "a%04d-%04d.png", "50%.png", "##/shot.png"):
        assert not is_numbered_pattern(tmp_path / name)


@pytest.mark.parametrize(
    ("numbers", "places", "note"),
    [
        ([3], [0], None),
        ([3, 4, 5], [0, 1, 2], None),
        ([0, 10, 20], [0, 1, 2], None),
        ([1, 2, 4], [0, 1, 3], "1 number between 1 and 4 is missing: 3"),
        ([1, 2, 5, 7], [0, 1, 4, 6], "3 numbers between 1 and 7 are missing: 3 to 4, 6"),
        ([0, 10, 30], [0, 1, 3], "1 number between 0 and 30 is missing: 20"),
        ([*range(1, 30, 2), 2], None, "missing: 4, 6, 8, 10, 12, ..."),
    ],
)
def test_missing_numbers_leave_places_free(
    tmp_path: Path, numbers: list[int], places: list[int] | None, note: str | None
) -> None:
    for number in numbers:
        (tmp_path / f"f{number:03}.png").touch()
    found = find_numbered_files(tmp_path / "f###.png")
    if places is not None:
        assert list(found.places) == places
    assert found.missing_note is note or str(found.missing_note).endswith(note)


@pytest.mark.parametrize(
    ("pattern", "name"), [("shot.%04d.png", "shot"), ("a_b_####.png", "a_b"), ("%d.png", "here")]
)
def test_results_are_named_without_the_number(tmp_path: Path, pattern: str, name: str) -> None:
    assert name_of_numbered(tmp_path / "here" / pattern) == name


@pytest.fixture
def shot(tmp_path: Path) -> Path:
    folder = tmp_path / "shot"
    folder.mkdir()
    for number in (8, 9, 10, 12):
        pixels = np.full((48, 64, 3), 20 * number, np.uint8)
        Image.fromarray(pixels).save(folder / f"a.{number:04}.png")
    Image.fromarray(np.zeros((32, 32, 3), np.uint8)).save(folder / "other.png")
    return folder


@pytest.mark.parametrize("pattern", ["a.%04d.png", "a.####.png"])
def test_frames_of_a_pattern_keep_their_times(shot: Path, pattern: str) -> None:
    frames = list(FrameFolder(shot / pattern))
    assert [frame.ticks for frame in frames] == [0, 1, 2, 4]
    assert [frame.index for frame in frames] == [0, 1, 2, 3]
    assert [int(frame.photo.pixels[0, 0, 0]) // 20 for frame in frames] == [8, 9, 10, 12]
    note = FrameFolder(shot / pattern).notes[0]
    assert note.endswith("1 number between 8 and 12 is missing: 11")


def test_predict_takes_a_pattern_as_photographs_or_as_a_clip(
    shot: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["predict", str(shot / "a.%04d.png"), "-m", "rilievo/small", "--save", "npy", "-o"]
    assert main([*words, str(tmp_path / "photos")]) == 0
    assert "1 number between 8 and 12 is missing: 11" in capsys.readouterr().err
    names = sorted(path.name for path in (tmp_path / "photos").glob("*.npy"))
    assert names == [f"a.{number:04}.depth.npy" for number in (8, 9, 10, 12)]

    assert main([*words, str(tmp_path / "clip"), "--sequence"]) == 0
    assert "is missing: 11" in capsys.readouterr().err
    record = json.loads((tmp_path / "clip/a.json").read_text())
    assert record["source"]["file"] == "a.%04d.png"
    assert record["video"]["ticks"] == [0, 1, 2, 4]
    assert record["video"]["names"] == names_of_frames()
    assert "11" in record["video"]["notes"][0]

    # A second run keeps the results, until a frame changes.
    assert main([*words, str(tmp_path / "clip"), "--sequence"]) == 0
    assert "already done" in capsys.readouterr().err
    Image.fromarray(np.zeros((48, 64, 3), np.uint8)).save(shot / "a.0011.png")
    assert main([*words, str(tmp_path / "clip"), "--sequence"]) != 0


def names_of_frames() -> list[str]:
    return [f"a.{number:04}.png" for number in (8, 9, 10, 12)]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("b.%04d.png", "no file matches this numbered pattern"),
        ("a.####.exr", "has no suffix of a photograph"),
        ("absent/a.####.png", "cannot list its folder"),
    ],
)
@pytest.mark.parametrize("more", [[], ["--sequence"]])
def test_a_pattern_without_files_is_refused_in_one_line(
    shot: Path, name: str, words: str, more: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["predict", str(shot / name), *more]) == 2
    told = capsys.readouterr().err
    assert words in told
    assert told.count("\n") == 1


def test_clips_take_a_pattern(shot: Path) -> None:
    [clip] = list_sequences(VideoData(roots=(str(shot / "a.####.png"),), fov=60.0))
    assert [path.name for path in clip.files] == names_of_frames()
    assert clip.frame_numbers == (0, 1, 2, 4)
    assert clip.id == "a"
    with pytest.raises(InputError, match="no file matches this numbered pattern"):
        list_sequences(VideoData(roots=(str(shot / "b.####.png"),), fov=60.0))


def test_fuse_names_missing_frames(shot: Path, tmp_path: Path) -> None:
    pytest.importorskip("cv2", reason="the extra 'fuse' is not installed")
    with pytest.raises(rilievo.RilievoError) as refusal:
        rilievo.fuse_clip(shot / "b.%04d.png", tmp_path / "place.ply")
    assert "no file matches this numbered pattern" in str(refusal.value)


def test_measure_treats_a_pattern_as_several_photographs(
    shot: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["measure", str(shot / "a.####.png"), "-m", "rilievo/small", "--box", "9,9,40,40"]
    main(words)
    told = capsys.readouterr().err
    [refusal] = [line for line in told.splitlines() if "is not in metres" in line]
    for number in (8, 9, 10, 12):
        assert f"a.{number:04}.png" in refusal
    assert main([*words, "--known", "9,9,2"]) == 2
    told = capsys.readouterr().err
    assert "describes one photograph, but there are several" in told
    assert "give a table with --known FILE.csv" in told
