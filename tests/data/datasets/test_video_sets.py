"""Sintel, KITTI, Bonn and ScanNet as downloaded: pictures, cameras, variants and what is broken."""

import json
from pathlib import Path

import numpy as np
import pytest

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.dataset import Dataset
from rilievo.errors import InputError, OptionError
from support.kitti_lookalike import CAMERA_TEXT
from support.video_downloads import (
    DRIVES,
    SCANNET_K,
    SINTEL_K,
    dpt,
    picture,
    turned,
    write,
    write_bonn,
    write_kitti,
    write_scannet,
    write_sintel,
)


def opened(root: Path, split: str, variant: str | None = None) -> Dataset:
    return open_dataset("vda-videos", root, split=split, variant=variant)


def test_sintel_has_two_passes_and_cameras(tmp_path: Path) -> None:
    written = write_sintel(tmp_path)
    clean, final = opened(tmp_path, "sintel"), opened(tmp_path, "sintel", "final")
    assert clean.ids[4:6] == ("clean/alley_1/frame_0005", "clean/market_6/frame_0001")
    assert final.ids == tuple(id.replace("clean", "final") for id in clean.ids)
    assert np.array_equal(clean.image(clean.ids[1]), picture((42, 62), 12))
    assert np.array_equal(final.image(final.ids[1]), picture((42, 62), 22))
    assert clean.photo_file(clean.ids[0]) is not None
    truth, same = clean.truth(clean.ids[1]), final.truth(final.ids[1])
    assert truth.depth is not None
    assert same.depth is not None
    assert np.array_equal(truth.depth, written.depth["alley_1"][clean.ids[1]])
    assert np.array_equal(truth.depth, same.depth)
    assert truth.camera is not None
    assert np.array_equal(truth.camera.K, SINTEL_K)
    # A point of the world, seen by the camera that the file describes.
    assert truth.world_T_cam is not None
    assert truth.world_T_cam @ turned(2) @ [1, 2, 3, 1] == pytest.approx([1, 2, 3, 1])
    assert truth.scene == "alley_1"
    missing = {each.id for each in clean.absent}
    assert len(missing) == 20
    assert "temple_2" in missing


def test_sides_of_kitti_are_even_and_depth_ends_at_374_rows(tmp_path: Path) -> None:
    write_kitti(tmp_path)
    (tmp_path / "raw" / "2011_09_26" / "calib_cam_to_cam.txt").write_text(CAMERA_TEXT)
    found = opened(tmp_path, "kitti")
    first = f"{DRIVES[0]}/rgb/0000000005"
    assert found.ids[0] == first
    assert np.array_equal(found.image(first), picture((41, 61), 5)[:40, :60])
    assert found.photo_file(first) is None
    truth = found.truth(first)
    assert truth.camera is not None
    assert truth.camera.K[:2, 2].tolist() == [29, 21]
    assert found.truth(f"{DRIVES[1]}/rgb/0000000005").camera is None
    # One that is as tall as the drives of October 3rd.
    tall = tmp_path / "data_depth_annotated/val" / DRIVES[1] / "proj_depth/groundtruth/image_02"
    write(tall / "0000000005.png", np.full((376, 1241), 512, np.uint16))
    depth = found.truth(f"{DRIVES[1]}/rgb/0000000005").depth
    assert depth is not None
    assert depth.shape == (374, 1241)
    assert set(np.unique(depth)) == {2.0}


def test_bonn_pairs_by_place_and_on_request_by_time(tmp_path: Path) -> None:
    write_bonn(tmp_path)
    usual, by_time = (opened(tmp_path, "bonn", each) for each in ("default", "associated"))
    # The first depth map of this video is missing, so places are one frame off.
    first, second = (id for id in usual.ids if "synchronous" in id)
    late = [id for id in by_time.ids if "synchronous" in id]
    assert late == [second, usual.ids[-1][: len("rgbd_bonn_synchronous/rgb/")] + "1548339820.96667"]
    shifted, paired = usual.truth(first).depth, by_time.truth(second).depth
    assert shifted is not None
    assert paired is not None
    assert np.array_equal(shifted, paired)
    assert not np.array_equal(usual.truth(second).depth, paired)


def test_scannet_has_no_margins_and_forgets_lost_poses(tmp_path: Path) -> None:
    write_scannet(tmp_path)
    found = opened(tmp_path, "scannet-500")
    names = [id for id in found.ids if id.startswith("scene0707_00")]
    assert names == [f"scene0707_00/color/{number}" for number in range(14)]
    image = found.image(names[10]).astype(int)
    assert image.shape == (40, 60, 3)
    assert np.abs(image - picture((56, 82), 10)[8:-8, 11:-11]).max() < 20
    truth = found.truth(names[10])
    assert truth.depth is not None
    assert truth.depth.shape == (40, 60)
    assert truth.camera is not None
    assert truth.camera.K[:2, 2].tolist() == [SCANNET_K[0, 2] - 11, SCANNET_K[1, 2] - 8]
    assert truth.world_T_cam is not None
    assert truth.world_T_cam @ turned(10) == pytest.approx(np.eye(4))
    assert found.truth(names[3]).world_T_cam is None
    (tmp_path / "scans_test/scene0707_00/depth/4.png").unlink()
    assert any("4.png is missing" in each.reason for each in opened(tmp_path, "scannet-500").absent)


def test_a_list_of_the_authors_goes_before_the_download(tmp_path: Path) -> None:
    write_scannet(tmp_path)
    frame = {
        "image": "scans_test/scene0707_00/color/3.jpg",
        "gt_depth": "scans_test/scene0707_00/depth/3.png",
        "factor": 1000,
    }
    (tmp_path / "scannet_video.json").write_text(json.dumps({"scannet": [{"one": [frame]}]}))
    assert opened(tmp_path, "scannet").ids == ("scans_test/scene0707_00/color/3",)
    assert len(opened(tmp_path, "scannet-500")) == 19
    (tmp_path / "sintel_video.json").write_text("{}")
    with pytest.raises(InputError, match=r"does not offer the variant 'final'"):
        opened(tmp_path, "sintel", "final")


@pytest.mark.parametrize("split", ["sintel", "kitti", "bonn", "scannet"])
def test_an_empty_folder_says_what_was_expected(tmp_path: Path, split: str) -> None:
    with pytest.raises(InputError, match=rf"found an empty folder.*{split}_video\.json"):
        opened(tmp_path, split)


def test_variants_are_of_their_sets_alone(tmp_path: Path) -> None:
    write_bonn(tmp_path)
    with pytest.raises(OptionError, match="no variant 'final'; choose default or associated"):
        opened(tmp_path, "bonn", "final")


def test_broken_files_of_sintel_are_refused_in_a_line(tmp_path: Path) -> None:
    write_sintel(tmp_path)
    found = opened(tmp_path, "sintel")
    id = found.ids[0]
    training = tmp_path / "MPI-Sintel-depth-training" / "training"
    depth = training / "depth/alley_1/frame_0001.dpt"
    camera = training / "camdata_left/alley_1/frame_0001.cam"
    whole = camera.read_bytes()
    for path, content, words in (
        (camera, whole[:-8], "has 164 bytes, but a Sintel camera file has 172"),
        (camera, b"HEIP" + whole[4:], "is not a Sintel camera"),
        (camera, whole[:4] + bytes(168), "not a rotation"),
        (depth, b"", "is empty"),
        (depth, b"PIEH" + bytes(4), "is not a Sintel depth"),
        (depth, dpt(np.ones((40, 50)))[:-1], "has 7999 bytes of depth, but 50 x 40 pixels .* 8000"),
        (depth, dpt(np.ones((4, 5)))[:4] + np.int32([2**30, 2**30]).tobytes(), "million"),
        (depth, dpt(np.ones((4, 5)))[:4] + np.int32([-5, -4]).tobytes() + bytes(80), "-5 x -4"),
    ):
        before = path.read_bytes()
        path.write_bytes(content)
        with pytest.raises(InputError, match=words):
            found.truth(id)
        path.write_bytes(before)
    camera.unlink()
    assert found.truth(id).camera is None


def test_broken_cameras_of_scannet_are_refused_in_a_line(tmp_path: Path) -> None:
    write_scannet(tmp_path)
    found = opened(tmp_path, "scannet")
    (tmp_path / "scans_test/scene0707_00/intrinsic/intrinsic_depth.txt").write_text("1 0 0")
    with pytest.raises(InputError, match=r"intrinsic_depth\.txt: expected the 16 numbers"):
        found.truth(found.ids[0])
