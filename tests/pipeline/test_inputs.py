"""What the user named becomes jobs, each with a target of its own."""

from pathlib import Path

import pytest

from rilievo.errors import InputError
from rilievo.pipeline.inputs import Job, Medium, find_jobs

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


def test_a_loop_of_links_ends(tmp_path: Path) -> None:
    touch(tmp_path, "a.jpg")
    (tmp_path / "loop").symlink_to(tmp_path)
    assert targets(tmp_path) == ["a"]
