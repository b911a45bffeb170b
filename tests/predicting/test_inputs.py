"""Inputs that the user named become jobs, each with a target of its own."""

import os
from pathlib import Path

import numpy as np
import pytest

from rilievo.errors import InputError
from rilievo.predicting.inputs import Job, Medium, SkippedInputs, find_jobs
from rilievo.prediction import Prediction
from rilievo.prediction.saving import save
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.prediction_record import MadeBy
from support.clips import write_clip

OUT = Path("out")


def touch(root: Path, *names: str) -> None:
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).touch()


def jobs_of(*inputs: Path | str, sequence: bool = False, output: Path = OUT) -> list[Job]:
    return list(find_jobs(list(inputs), output, sequence=sequence))


def targets(*inputs: Path | str, output: Path = OUT) -> list[str]:
    return [job.target.relative_to(output).as_posix() for job in jobs_of(*inputs, output=output)]


def test_a_folder_is_searched_and_keeps_its_tree(tmp_path: Path) -> None:
    touch(tmp_path, "b.jpg", "a.PNG", "deep/er/c.webp", "notes.txt", ".hidden.jpg", ".git/d.jpg")
    assert targets(tmp_path) == ["a", "b", "deep/er/c"]


def test_photographs_of_one_name_in_one_folder_keep_their_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "A.png", "b.jpg")
    assert sorted(targets(tmp_path)) == ["A.png", "a.jpg", "b"]


def test_files_of_one_name_from_two_folders_do_not_collide(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.jpg", "y/a.jpg")
    assert targets(tmp_path / "x/a.jpg", tmp_path / "y/a.jpg") == ["a", "a-2"]


def test_two_folders_of_one_name_do_not_collide(tmp_path: Path) -> None:
    touch(tmp_path, "x/day/a.jpg", "y/day/a.jpg")
    assert targets(tmp_path / "x/day", tmp_path / "y/day") == ["day/a", "day-2/a"]


def test_a_number_given_to_one_does_not_meet_another_of_that_name(tmp_path: Path) -> None:
    touch(tmp_path, "x/a.jpg", "y/a.jpg", "z/a-2.jpg")
    found = targets(*(tmp_path / name for name in ("x/a.jpg", "y/a.jpg", "z/a-2.jpg")))
    assert len(set(found)) == 3


def test_results_within_the_folder_are_not_taken_for_photographs(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "results/a.depth.png")
    assert targets(tmp_path, output=tmp_path / "results") == ["a"]


def test_patterns_are_expanded(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "deep/b.jpg", "deep/c.png")
    assert targets(f"{tmp_path}/**/*.jpg") == ["a", "b"]


def test_a_file_whose_name_is_a_pattern_is_taken_as_it_is(tmp_path: Path) -> None:
    touch(tmp_path, "a[1].jpg")
    assert targets(tmp_path / "a[1].jpg") == ["a[1]"]


def test_a_video_is_told_by_its_suffix_and_a_sequence_by_request(tmp_path: Path) -> None:
    touch(tmp_path, "clip.MP4", "photo.jpg")
    media = {job.source.name: job.medium for job in jobs_of(tmp_path)}
    assert media == {"clip.MP4": Medium.VIDEO, "photo.jpg": Medium.PHOTO}
    [job] = jobs_of(tmp_path, sequence=True)
    assert job.medium is Medium.SEQUENCE
    assert job.target == OUT / tmp_path.name


def test_a_file_named_by_itself_is_tried_whatever_its_suffix(tmp_path: Path) -> None:
    touch(tmp_path, "scan.dat")
    assert targets(tmp_path / "scan.dat") == ["scan"]


@pytest.mark.parametrize("name", ["nothing.jpg", "none/*.jpg"])
def test_what_is_not_there_is_said(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"no such file|no file matches"):
        jobs_of(tmp_path / name)


def test_one_missing_name_is_a_job_that_will_fail_and_the_rest_goes_on(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    assert targets(tmp_path / "none.jpg", tmp_path / "a.jpg") == ["none", "a"]


def test_a_name_with_its_suffix_does_not_meet_another_files_stem(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "a.png", "a.jpg.bmp")
    found = targets(tmp_path)
    assert len({name.lower() for name in found}) == 3


def test_a_video_named_by_itself_is_known_by_its_content(tmp_path: Path) -> None:
    write_clip(tmp_path / "clip.mp4")
    (tmp_path / "clip.mp4").rename(tmp_path / "clip")
    [job] = jobs_of(tmp_path / "clip")
    assert job.medium is Medium.VIDEO


def test_results_beside_the_photographs_are_not_taken_for_photographs(tmp_path: Path) -> None:
    depth = DepthMap(values=np.ones((40, 50), np.float32), kind=DepthKind.UP_TO_SCALE)
    made_by = MadeBy(model="m", weights_sha256="0", licence="MIT", settings={}, version="0")
    touch(tmp_path, "a.jpg", "b.json")
    save(Prediction(depth_or_none=depth, made_by=made_by), tmp_path / "a", ["colour", "png16"])
    skipped = SkippedInputs()
    jobs = list(find_jobs([tmp_path], tmp_path, sequence=False, skipped=skipped))
    assert [job.source.name for job in jobs] == ["a.jpg"]
    assert (skipped.results, skipped.other_files) == (3, 1)


@pytest.mark.parametrize("added", ["a.png", "b.png"])
def test_results_that_a_later_photograph_renames_are_said(tmp_path: Path, added: str) -> None:
    depth = DepthMap(values=np.ones((8, 8), np.float32), kind=DepthKind.METRIC)
    made_by = MadeBy(model="test", weights_sha256="0", licence="none", settings={}, version="0")
    out = tmp_path / "out"
    touch(tmp_path, "in/a.jpg", f"in/{added}", "out/b.json")
    save(Prediction(depth_or_none=depth, made_by=made_by), out / "a", ["png16"])
    skipped = SkippedInputs()
    jobs = list(find_jobs([tmp_path / "in"], out, sequence=False, skipped=skipped))
    if added == "b.png":
        assert skipped.notes() == []
        return
    assert [job.target.name for job in jobs] == ["a.jpg", "a.png"]
    [note] = skipped.notes()
    assert note.startswith(
        f"{out / 'a.json'} is from an earlier run; now several inputs are called 'a'"
    )


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="Windows has no pipes in folders")
@pytest.mark.parametrize("beside", ["a.txt", "a.depth.png"])
def test_a_pipe_in_the_place_of_a_json_is_not_waited_for(tmp_path: Path, beside: str) -> None:
    touch(tmp_path, "a.jpg", beside)
    os.mkfifo(tmp_path / "a.json")
    skipped = SkippedInputs()
    jobs = list(find_jobs([tmp_path], OUT, sequence=False, skipped=skipped))
    assert [job.source.name for job in jobs] == ["a.jpg"]
    assert len(skipped.unreadable) == (beside == "a.depth.png")


@pytest.mark.parametrize("expanded_by", ["rilievo", "shell"])
def test_a_pattern_leaves_results_out(tmp_path: Path, expanded_by: str) -> None:
    touch(tmp_path, "a.png", "b.png")
    depth = DepthMap(values=np.ones((8, 8), np.float32), kind=DepthKind.METRIC)
    made_by = MadeBy(model="test", weights_sha256="0", licence="none", settings={}, version="0")
    save(Prediction(depth_or_none=depth, made_by=made_by), tmp_path / "a", ["colour", "png16"])
    pattern = str(tmp_path / "*")
    named = [pattern] if expanded_by == "rilievo" else sorted(tmp_path.glob("*"))
    skipped = SkippedInputs()
    jobs = list(find_jobs(named, OUT, sequence=False, skipped=skipped))
    assert [job.source.name for job in jobs] == ["a.png", "b.png"]
    assert skipped.results == 3
    [alone] = jobs_of(tmp_path / "a.depth.png")
    assert alone.source.name == "a.depth.png"


def test_what_is_left_out_is_counted_and_said(tmp_path: Path) -> None:
    touch(tmp_path, "in/a.jpg", "in/notes.txt", "in/b.xyz", "elsewhere/c.jpg")
    (tmp_path / "in/link").symlink_to(tmp_path / "elsewhere")
    skipped = SkippedInputs()
    assert len(list(find_jobs([tmp_path / "in"], OUT, sequence=False, skipped=skipped))) == 1
    assert [" ".join(note.split()[:3]) for note in skipped.notes()] == [
        "skipped 2 files",
        "skipped 1 linked",
    ]


def test_a_folder_without_photographs_beside_others_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg", "in/b.jpg")
    (tmp_path / "empty").mkdir()
    skipped = SkippedInputs()
    inputs = [tmp_path / "a.jpg", tmp_path / "in", tmp_path / "empty"]
    assert len(list(find_jobs(inputs, OUT, sequence=False, skipped=skipped))) == 2
    assert skipped.notes() == [f"no photograph or video in {tmp_path / 'empty'}"]


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert targets(tmp_path) == ["a"]
