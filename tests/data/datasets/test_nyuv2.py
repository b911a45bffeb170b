"""NYU Depth V2 read from each of its layouts, and refused where a file would mislead."""

import pickle
from pathlib import Path

import numpy as np
import pytest

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.sets.nyuv2.layout import official_indices
from rilievo.errors import InputError, OptionError
from support import nyu_lookalikes as nyu


@pytest.fixture(scope="module")
def scenes() -> list[nyu.Scene]:
    return [nyu.scene(0), nyu.scene(1), nyu.scene(2)]


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory, scenes: list[nyu.Scene]) -> Path:
    folder = tmp_path_factory.mktemp("labelled")
    nyu.write_labelled(folder / "nyu_depth_v2_labeled.mat", scenes)
    return folder


def test_the_official_split_parts_the_labelled_images_in_654_and_795() -> None:
    test, train = official_indices("test"), official_indices("train")
    assert (len(test), len(train)) == (654, 795)
    assert sorted(test + train) == list(range(1449))
    # The first and last of testNdxs, less one, as every export of the test set names them.
    assert test[:9] == (0, 1, 8, 13, 14, 15, 16, 17, 20)
    assert test[-3:] == (1446, 1447, 1448)


def test_the_labelled_file_gives_upright_images_and_both_depths(
    labelled: Path, scenes: list[nyu.Scene]
) -> None:
    dataset = open_dataset("nyuv2", labelled, split="all")
    assert dataset.ids == ("0000", "0001", "0002")
    sample = dataset.sample("0002")
    np.testing.assert_array_equal(sample.image, scenes[2].photo)
    assert sample.depth is not None
    assert sample.depth_valid is not None
    assert sample.camera is not None
    np.testing.assert_array_equal(sample.depth, scenes[2].raw.astype(np.float32))
    np.testing.assert_array_equal(sample.depth_valid, scenes[2].raw > 0)
    np.testing.assert_allclose(sample.camera.K, nyu.K)
    filled = open_dataset("nyuv2", labelled, split="all", variant="filled").truth("0002")
    assert filled.depth is not None
    assert filled.depth_valid is not None
    assert filled.depth_valid.all()
    np.testing.assert_array_equal(filled.depth, scenes[2].filled.astype(np.float32))
    assert filled.normals is None


def test_a_dataset_that_has_read_can_be_sent_to_another_process(labelled: Path) -> None:
    dataset = open_dataset("nyuv2", labelled, split="all")
    before = dataset.truth("0000").depth
    after = pickle.loads(pickle.dumps(dataset)).truth("0000").depth
    np.testing.assert_array_equal(before, after)


def test_a_list_of_ones_own_takes_the_place_of_the_split(labelled: Path, tmp_path: Path) -> None:
    mine = tmp_path / "mine.txt"
    mine.write_text("# two\n0002\n0001 and words\n")
    assert open_dataset("nyuv2", labelled, list_file=mine).ids == ("0002", "0001")
    mine.write_text("0002\n0003\n")
    with pytest.raises(InputError, match=r"mine\.txt:2: there is no image '0003'"):
        open_dataset("nyuv2", labelled, list_file=mine)
    mine.write_text("0002\n0002\n")
    with pytest.raises(InputError, match="'0002' occurs twice"):
        open_dataset("nyuv2", labelled, list_file=mine)


def test_a_part_of_the_labelled_set_without_its_split_is_not_guessed_at(
    tmp_path: Path, labelled: Path
) -> None:
    (tmp_path / "part.mat").symlink_to(labelled / "nyu_depth_v2_labeled.mat")
    with pytest.raises(InputError, match="has 3 images, not the official 1449"):
        open_dataset("nyuv2", tmp_path / "part.mat")
    assert len(open_dataset("nyuv2", tmp_path / "part.mat", split="all")) == 3


def test_a_labelled_file_that_is_cut_short_is_told_in_one_line(
    tmp_path: Path, labelled: Path
) -> None:
    whole = (labelled / "nyu_depth_v2_labeled.mat").read_bytes()
    cut = tmp_path / "nyu_depth_v2_labeled.mat"
    for part, said in (
        (len(whole) * 2 // 3, "cut short"),
        (700, "MATLAB file"),
        (100, "not a MATLAB"),
    ):
        cut.write_bytes(whole[:part])
        with pytest.raises(InputError, match=said) as told:
            open_dataset("nyuv2", tmp_path, split="all")
        assert str(told.value).startswith(str(cut))
        assert "\n" not in str(told.value)
    cut.write_bytes(b"")
    with pytest.raises(InputError, match="is empty"):
        open_dataset("nyuv2", tmp_path, split="all")


def test_a_damaged_image_in_a_labelled_file_is_told_when_it_is_read(
    tmp_path: Path, labelled: Path
) -> None:
    whole = bytearray((labelled / "nyu_depth_v2_labeled.mat").read_bytes())
    # The streams of zlib begin with these two bytes.
    start = whole.index(b"\x78\x5e") if b"\x78\x5e" in whole else whole.index(b"\x78\x9c")
    whole[start + 20 : start + 4000] = bytes(3980)
    (tmp_path / "nyu_depth_v2_labeled.mat").write_bytes(bytes(whole))
    dataset = open_dataset("nyuv2", tmp_path, split="all")
    with pytest.raises(InputError, match=r"entry 0 of .* cannot be read"):
        dataset.sample("0000")


def test_another_matlab_file_is_not_taken_for_the_labelled_set(tmp_path: Path) -> None:
    nyu.write_geonet_truth(tmp_path, [nyu.scene()])
    with pytest.raises(InputError, match=r"check that this is nyu_depth_v2_labeled\.mat"):
        open_dataset("nyuv2", tmp_path / "masks.mat")


@pytest.fixture(scope="module")
def sync(tmp_path_factory: pytest.TempPathFactory, scenes: list[nyu.Scene]) -> Path:
    root = tmp_path_factory.mktemp("sync")
    nyu.write_sync(root / "test" / "kitchen", 45, scenes[0])
    nyu.write_sync(root / "test" / "attic", 7, scenes[1])
    nyu.write_sync(root / "train" / "kitchen", 46, scenes[2])
    nyu.write_photo(root / "test" / "kitchen" / "rgb_00050.jpg", scenes[0].photo)
    nyu.write_millimetres(root / "test" / "kitchen" / "sync_depth_00051.png", scenes[0].raw)
    return root


def test_the_sync_export_is_read_in_metres_and_missing_partners_are_absent(
    sync: Path, scenes: list[nyu.Scene]
) -> None:
    dataset = open_dataset("nyuv2", sync)
    assert dataset.ids == ("test/attic/00007", "test/kitchen/00045")
    sample = dataset.sample("test/kitchen/00045")
    assert sample.depth is not None
    assert sample.depth_valid is not None
    np.testing.assert_allclose(sample.depth, scenes[0].raw, atol=0.000501)
    np.testing.assert_array_equal(sample.depth_valid, scenes[0].raw > 0)
    reasons = {each.id: each.reason for each in dataset.absent}
    assert set(reasons) == {"test/kitchen/00050", "test/kitchen/00051"}
    assert "rgb_00050.jpg has no depth map" in reasons["test/kitchen/00050"]
    assert "sync_depth_00051.png has no photograph" in reasons["test/kitchen/00051"]


def test_lists_of_pairs_name_images_of_the_sync_export(sync: Path, tmp_path: Path) -> None:
    listed = tmp_path / "test_files.txt"
    listed.write_text(
        "/kitchen/rgb_00045.jpg /kitchen/sync_depth_00045.png 518.8579\n"
        "kitchen/rgb_00046.jpg kitchen/sync_depth_00046.png 518.8579\n"
        "kitchen/rgb_00050.jpg kitchen/sync_depth_00050.png 518.8579\n"
    )
    dataset = open_dataset("nyuv2", sync, list_file=listed)
    assert dataset.ids == ("test/kitchen/00045", "train/kitchen/00046")
    assert [each.id for each in dataset.absent] == ["test/kitchen/00050"]
    listed.write_text("kitchen/rgb_99999.jpg x\n")
    with pytest.raises(InputError, match=r"test_files\.txt:1: there is no image"):
        open_dataset("nyuv2", sync, list_file=listed)


def test_a_line_that_could_mean_two_images_means_none(tmp_path: Path) -> None:
    for split in ("test", "train"):
        nyu.write_sync(tmp_path / split / "kitchen", 1, nyu.scene())
    listed = tmp_path / "list.txt"
    listed.write_text("kitchen/rgb_00001.jpg\n")
    with pytest.raises(InputError, match="there is no image"):
        open_dataset("nyuv2", tmp_path, list_file=listed)
    listed.write_text("train/kitchen/rgb_00001.jpg\n")
    assert open_dataset("nyuv2", tmp_path, list_file=listed).ids == ("train/kitchen/00001",)


def test_scenes_without_the_official_folders_have_no_test_split(tmp_path: Path) -> None:
    nyu.write_sync(tmp_path / "kitchen_0028b", 1, nyu.scene())
    with pytest.raises(InputError, match="there is no folder 'test'"):
        open_dataset("nyuv2", tmp_path)
    assert open_dataset("nyuv2", tmp_path, split="all").ids == ("kitchen_0028b/00001",)


def test_raw_depth_is_not_given_out_as_filled(sync: Path) -> None:
    with pytest.raises(InputError, match=r"has no variant 'filled'.*variant='raw' or"):
        open_dataset("nyuv2", sync, variant="filled")


def test_a_cut_depth_map_is_told_in_one_line(tmp_path: Path) -> None:
    nyu.write_sync(tmp_path / "attic", 1, nyu.scene())
    path = tmp_path / "attic" / "sync_depth_00001.png"
    path.write_bytes(path.read_bytes()[:2000])
    dataset = open_dataset("nyuv2", tmp_path, split="all")
    with pytest.raises(InputError, match=r"sync_depth_00001\.png") as told:
        dataset.truth("attic/00001")
    assert "\n" not in str(told.value)


def test_images_by_number_follow_the_official_split_counted_from_one(tmp_path: Path) -> None:
    """Index 0 and 1448 are of the test split, index 2 is of the training split."""
    for number in (1, 3, 1449):
        nyu.write_photo(tmp_path / "rgb" / f"{number:04d}.jpg", nyu.scene().photo)
        nyu.write_millimetres(tmp_path / "depth" / f"{number:04d}.png", nyu.scene().raw)
    dataset = open_dataset("nyuv2", tmp_path)
    assert dataset.ids == ("0001", "1449")
    assert len(dataset.absent) == 652
    assert open_dataset("nyuv2", tmp_path, split="train").ids == ("0003",)


def test_numbers_that_do_not_tell_where_they_start_are_not_guessed_at(tmp_path: Path) -> None:
    nyu.write_photo(tmp_path / "rgb" / "0007.jpg", nyu.scene().photo)
    nyu.write_millimetres(tmp_path / "depth" / "0007.png", nyu.scene().raw)
    with pytest.raises(InputError, match="do not show whether they count from 0 or 1"):
        open_dataset("nyuv2", tmp_path)
    (tmp_path / "test.txt").write_text("0007\n0008\n")
    dataset = open_dataset("nyuv2", tmp_path)
    assert dataset.ids == ("0007",)
    assert [each.id for each in dataset.absent] == ["0008"]


def test_eight_bits_are_steps_of_a_twenty_fifth_of_a_metre_and_filled(tmp_path: Path) -> None:
    nyu.write_photo(tmp_path / "rgb" / "0000.jpg", nyu.scene().photo)
    steps = np.full((480, 640), 50, np.uint8)
    steps[0, 0] = 0
    nyu.write_photo(tmp_path / "depth" / "0000.png", steps)
    opened = open_dataset("nyuv2", tmp_path, variant="filled")
    assert "8 bits" in " ".join(opened.deviations)
    truth = opened.truth("0000")
    assert truth.depth is not None
    assert truth.depth_valid is not None
    np.testing.assert_allclose(truth.depth[5, 5], 50.5 / 25.5, rtol=1e-6)
    assert not truth.depth_valid[0, 0]
    assert truth.depth_valid.sum() == 480 * 640 - 1
    with pytest.raises(InputError, match=r"has no variant 'raw'.* in 8 bits.*variant='filled'"):
        open_dataset("nyuv2", tmp_path)


def test_an_image_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    for name in ("0000.jpg", "0000.png"):
        nyu.write_photo(tmp_path / "rgb" / name, nyu.scene().photo)
    nyu.write_millimetres(tmp_path / "depth" / "0000.png", nyu.scene().raw)
    with pytest.raises(InputError, match="'0000' exists twice"):
        open_dataset("nyuv2", tmp_path)


def test_a_wrong_root_says_what_was_expected_and_found(tmp_path: Path) -> None:
    (tmp_path / "holiday.doc").write_text("sun")
    with pytest.raises(InputError, match=r"expected nyu_depth_v2_labeled\.mat.*holiday\.doc"):
        open_dataset("nyuv2", tmp_path)
    with pytest.raises(OptionError, match="no variant 'rwa'"):
        open_dataset("nyuv2", tmp_path, variant="rwa")
    nyu.write_sync(tmp_path / "attic", 1, nyu.scene())
    dataset = open_dataset("nyuv2", tmp_path, split="all")
    with pytest.raises(InputError, match="no image '9999'"):
        dataset.truth("9999")
