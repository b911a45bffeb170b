"""A download is read and judged: what is there, what is missing, what is odd."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.cli import main
from rilievo.data.datasets import DATASETS, find_dataset, open_dataset
from rilievo.data.datasets.check_download import check_dataset
from rilievo.data.datasets.contact_sheet import write_contact_sheet
from rilievo.data.datasets.dataset import checked_ids, evenly_spread
from rilievo.errors import InputError, OptionError, OutputError
from rilievo.io.depth.plausibility import TOO_NEAR
from support.toy_dataset import Toy, write_toy

ROOT = Path(__file__).parents[3]
TOY = "support.toy_dataset:Toy"


def test_a_whole_download_is_whole(tmp_path: Path) -> None:
    found = check_dataset(open_dataset(TOY, write_toy(tmp_path)))
    assert found.is_complete
    assert (found.num_listed, found.num_read, len(found.images)) == (4, 4, 4)
    assert found.warnings == ()
    first = found.images[0]
    assert first.size == (48, 64)
    assert first.depth_fraction == pytest.approx(63 / 64)
    assert (first.near, first.far) == pytest.approx((1.0, 4.0))
    assert first.median == pytest.approx(2.5)


def test_missing_and_broken_files_are_told_apart_and_named(tmp_path: Path) -> None:
    write_toy(tmp_path)
    (tmp_path / "b.npz").unlink()
    whole = (tmp_path / "c.npz").read_bytes()
    (tmp_path / "c.npz").write_bytes(whole[: len(whole) // 2])
    found = check_dataset(open_dataset(TOY, tmp_path))
    assert [entry.id for entry in found.absent] == ["b"]
    assert [entry.id for entry in found.broken] == ["c"]
    assert "c.npz: broken" in found.broken[0].reason
    assert not found.is_complete


def test_every_split_is_counted_and_what_hinders_one_is_said(tmp_path: Path) -> None:
    found = check_dataset(open_dataset(TOY, write_toy(tmp_path)))
    test, train = found.splits
    assert (test.official, test.found, test.absent) == (4, 4, 0)
    assert train.problem is not None
    assert "train.txt" in train.problem


def test_a_folder_of_ones_own_is_asked_for_the_splits_it_declares(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("images", "depth"):
        (tmp_path / name).mkdir()
    for name in ("a", "b"):
        Image.new("RGB", (64, 48), "grey").save(tmp_path / f"images/{name}.jpg")
        np.save(tmp_path / f"depth/{name}.npy", np.linspace(1, 3, 48 * 64).reshape(48, 64))
    assert main(["check", "folder", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "no split" not in printed
    assert "2 of 2 images, 2 of them complete" in printed
    assert "rilievo.yaml, for example 'camera: {fx: 525, cx: 319.5, cy: 239.5}'" in printed
    (tmp_path / "val.txt").write_text("b\n")
    (tmp_path / "rilievo.yaml").write_text(
        "splits: {valid: val.txt}\ncamera: {fx: 52.5, cx: 31.5, cy: 23.5}\n"
    )
    found = check_dataset(open_dataset("folder", tmp_path))
    assert [(each.split, each.found) for each in found.splits] == [("all", 2), ("valid", 1)]
    assert found.warnings == ()


def test_depth_in_millimetres_is_noticed(tmp_path: Path) -> None:
    found = check_dataset(open_dataset(TOY, write_toy(tmp_path, unit=1000)))
    assert any("millimetres" in warning for warning in found.warnings)


def test_metres_that_were_divided_once_too_often_are_noticed(tmp_path: Path) -> None:
    found = check_dataset(open_dataset(TOY, write_toy(tmp_path, unit=0.001)))
    assert found.warnings == (f"in at least half of the images, {TOO_NEAR}",)


def test_a_list_of_another_length_than_the_papers_is_noticed(tmp_path: Path) -> None:
    found = check_dataset(open_dataset(TOY, write_toy(tmp_path, ("a", "b"))))
    assert found.warnings == (
        "papers score 4 images of the split 'test', but this download lists 2",
    )


def test_images_without_any_depth_are_noticed(tmp_path: Path) -> None:
    write_toy(tmp_path)
    image = np.zeros((48, 64, 3), np.uint8)
    np.savez(tmp_path / "d.npz", image=image, depth=np.zeros((48, 64), np.float32))
    found = check_dataset(open_dataset(TOY, tmp_path))
    assert found.images[3].median is None
    assert "the image d has no pixel with ground-truth depth" in found.warnings


MARKED = "depth: {file: 'depth/{id}.png', scale: 0.001, invalid: [1000]}"


@pytest.mark.parametrize(
    ("yaml", "cause"),
    [
        ("depth: {max_depth: 0.5}", "max_depth (0.5 m) in rilievo.yaml leaves out all 3,072"),
        ("depth: {min_depth: 9}", "min_depth (9 m) in rilievo.yaml leaves out all 3,072"),
        ("valid: 'masks/{id}.png'", "its mask leaves out all 3,072"),
        (MARKED, "invalid in rilievo.yaml leaves out all 3,072"),
        (MARKED.replace("invalid", "sky"), "sky in rilievo.yaml leaves out all 3,072"),
    ],
)
def test_a_download_without_any_truth_fails_and_says_what_removed_it(
    yaml: str, cause: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("images", "depth", "masks"):
        (tmp_path / name).mkdir()
    Image.new("RGB", (64, 48), "grey").save(tmp_path / "images/a.jpg")
    Image.new("L", (64, 48)).save(tmp_path / "masks/a.png")
    np.save(tmp_path / "depth/a.npy", np.linspace(1, 3, 48 * 64).reshape(48, 64))
    Image.fromarray(np.full((48, 64), 1000, np.uint16)).save(tmp_path / "depth/a.png")
    if "png', scale" not in yaml:
        (tmp_path / "depth/a.png").unlink()
    (tmp_path / "rilievo.yaml").write_text(yaml)
    assert main(["check", "folder", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert printed.count(cause) == 1
    assert "nothing can be scored" in printed


def test_what_removes_the_truth_of_an_image_that_is_not_sampled_is_named(tmp_path: Path) -> None:
    for name in ("images", "depth"):
        (tmp_path / name).mkdir()
    for number in range(60):
        Image.new("RGB", (64, 48), "grey").save(tmp_path / f"images/{number:02}.jpg")
        depth = np.full((48, 64), 9.0 if number == 1 else 2.0)
        np.save(tmp_path / f"depth/{number:02}.npy", depth)
    (tmp_path / "rilievo.yaml").write_text("depth: {max_depth: 4}")
    found = check_dataset(open_dataset("folder", tmp_path))
    [warning] = [warning for warning in found.warnings if "no pixel with" in warning]
    assert warning.startswith("the image 01 has no pixel with ground-truth depth; max_depth (4 m)")
    assert found.is_complete


def test_a_limit_reads_images_from_everywhere(tmp_path: Path) -> None:
    found = check_dataset(open_dataset(TOY, write_toy(tmp_path)), limit=2)
    assert [facts.id for facts in found.images] == ["a", "d"]
    assert (found.num_read, found.num_listed) == (2, 4)


@pytest.mark.parametrize(("count", "most"), [(10, 3), (5, 5), (7, 1), (3, 9), (0, 2)])
def test_spread_keeps_order_and_ends(count: int, most: int) -> None:
    ids = [f"{i:02}" for i in range(count)]
    picked = evenly_spread(ids, most)
    assert len(picked) == min(count, most)
    assert list(picked) == sorted(set(picked))
    assert picked[:1] == tuple(ids[:1])


def test_a_contact_sheet_shows_every_image_asked_for(tmp_path: Path) -> None:
    dataset = open_dataset(TOY, write_toy(tmp_path))
    write_contact_sheet(dataset, dataset.ids, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        pixels = np.asarray(sheet)
    photo = dataset.image("a")
    corner = pixels[14 : 14 + 180, :240]
    resized = np.asarray(Image.fromarray(photo).resize((240, 180), Image.Resampling.NEAREST))
    np.testing.assert_array_equal(corner, resized)


def test_a_contact_sheet_of_an_unknown_format_is_refused(tmp_path: Path) -> None:
    dataset = open_dataset(TOY, write_toy(tmp_path))
    with pytest.raises(OutputError, match=r"\.jpg or \.png"):
        write_contact_sheet(dataset, dataset.ids, tmp_path / "sheet.txt")
    assert not (tmp_path / "sheet.txt").exists()


def test_check_on_the_command_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_toy(tmp_path / "data")
    sheet = tmp_path / "sheet.jpg"
    assert main(["check", TOY, str(tmp_path / "data"), "--sheet", str(sheet)]) == 0
    said = capsys.readouterr().out
    assert "4 of 4 images, 4 of them complete" in said
    assert "64x48 in 4 images" in said
    assert "fx 40, fy 40, cx 31.5, cy 23.5 in 4 images" in said
    assert "depth     1 to 7 m" in said
    assert sheet.is_file()


def test_check_ends_with_1_when_something_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_toy(tmp_path)
    (tmp_path / "b.npz").unlink()
    assert main(["check", TOY, str(tmp_path)]) == 1
    assert "b: no b.npz in" in capsys.readouterr().out


def test_what_hinders_a_split_stands_below_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["check", TOY, str(write_toy(tmp_path / ("deep" * 30)))])
    lines = capsys.readouterr().out.splitlines()
    start = next(at for at, line in enumerate(lines) if line.startswith("split"))
    header, rule, test, train, problem = lines[start : start + 5]
    assert header.split() == ["split", "in", "papers", "found", "missing"]
    assert len(rule) < 40
    assert test.split() == ["test", "4", "4", "0"]
    assert train.split() == ["train", "-", "-", "-"]
    assert problem.startswith("train: ")
    assert "train.txt" in problem


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nyu2"], "did you mean"),
        ([TOY], "needs the folder"),
        ([TOY, "nowhere"], "no such folder"),
        ([TOY, ".", "--split", "tset"], "did you mean 'test'"),
        ([TOY, ".", "--variant", "x"], "no variant 'x'"),
        ([TOY, ".", "--limit", "0"], "--limit must be 1 or more"),
        (["support.toy_dataset:Nothing"], "no dataset 'support.toy_dataset:Nothing'"),
        (["support.toy_dataset:write_toy"], "not a dataset loader"),
    ],
)
def test_wrong_use_is_one_line(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", *arguments]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert said.count("\n") == 1


@pytest.mark.parametrize("bad", ["../a", "/a", "a//b", "a/./b", "", "a\\b", "a\0"])
def test_ids_that_would_leave_their_folder_are_refused(bad: str) -> None:
    with pytest.raises(InputError, match="must be a relative path"):
        checked_ids(["fine", bad], "list")


def test_an_id_that_is_there_twice_is_refused() -> None:
    with pytest.raises(InputError, match="'a/b' occurs twice"):
        checked_ids(["a/b", "c", "a/b"], "list")


@pytest.mark.parametrize("name", DATASETS)
def test_every_dataset_has_a_card_that_tells_all(name: str) -> None:
    card = find_dataset(name).card
    assert card.name == name
    is_page = card.homepage.startswith("https://") or (ROOT / card.homepage).is_file()
    assert is_page or not card.needs_root
    assert card.splits
    assert set(card.counts) <= set(card.splits)
    assert card.layout.strip()
    assert card.licence


def test_datasets_are_listed_with_their_licences(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["datasets"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in DATASETS)
    assert main(["datasets", TOY]) == 0
    said = capsys.readouterr().out
    assert "test (4 images)" in said
    assert "CC0-1.0" in said


def test_samples_are_photograph_and_truth(tmp_path: Path) -> None:
    dataset = open_dataset(TOY, write_toy(tmp_path))
    assert isinstance(dataset, Toy)
    assert len(dataset) == 4
    assert [sample.id for sample in dataset] == ["a", "b", "c", "d"]
    np.testing.assert_array_equal(dataset[2].image, dataset.image("c"))
    with pytest.raises(OptionError, match="needs the folder"):
        open_dataset(TOY)
