"""Scenes and sequences, which images of every dataset are of."""

from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from rilievo.data.datasets import open_dataset
from rilievo.data.datasets.sets.kitti_raw import DRIVE_NAME
from rilievo.data.datasets.sets.nyuv2.paired_folders import recorded_scene
from rilievo.data.datasets.sets.sunrgbd import sun3d_recording
from rilievo.data.datasets.text_files import scene_by_folders
from rilievo.errors import InputError
from support import nyu_lookalikes as nyu


def test_ids_name_sequences_and_a_bare_sequence_is_its_folder() -> None:
    assert scene_by_folders("chess/seq-01/frame-000000", Path("scenes")) == "chess/seq-01"
    assert scene_by_folders("frame-000000", Path("data/seq-03")) == "seq-03"
    assert scene_by_folders("fr1_desk/rgb/1305.1", Path("tum"), names=2) == "fr1_desk"
    assert scene_by_folders("rgb/1305.1", Path("data/fr1_desk"), names=2) == "fr1_desk"


def test_nyu_recordings_are_scenes_and_sorts_of_room_are_none() -> None:
    assert recorded_scene("train/kitchen_0045a/00012") == "kitchen_0045a"
    assert recorded_scene("test/kitchen/00045") is None


def test_frames_of_sun3d_are_of_a_recording_and_other_photographs_of_none() -> None:
    assert sun3d_recording("xtion/sun3ddata/hotel_sf/hotel_sf/0000103-000") == "hotel_sf"
    assert sun3d_recording("kv1/NYUdata/NYU0001") is None


def test_kittis_drives_stand_in_both_forms_of_its_ids() -> None:
    for id in (
        "2011_09_26/2011_09_26_drive_0002_sync/image_02/data/0000000005",
        "2011_09_26_drive_0002_sync_image_0000000005_image_02",
    ):
        found = DRIVE_NAME.search(id)
        assert found is not None
        assert found[0] == "2011_09_26_drive_0002_sync"


def test_the_labelled_nyu_file_names_its_scenes(tmp_path: Path) -> None:
    path = tmp_path / "nyu_depth_v2_labeled.mat"
    nyu.write_labelled(path, [nyu.scene(0), nyu.scene(1)])
    assert open_dataset("nyuv2", path, split="all").truth("0000").scene is None
    with h5py.File(path, "r+") as file:
        cells = file.create_dataset("scenes", (1, 2), h5py.ref_dtype)
        for index, name in enumerate(("kitchen_0004", "office_0001b")):
            text = np.array([[ord(each)] for each in name], np.uint16)
            cells[0, index] = file.create_dataset(f"#refs#/{index}", data=text).ref
    dataset = open_dataset("nyuv2", path, split="all")
    assert [dataset.truth(id).scene for id in dataset.ids] == ["kitchen_0004", "office_0001b"]


def _folder(root: Path, scene: str) -> Path:
    for id in ("a/x/1", "a/y/1", "b/1"):
        for part, kind in (("images", "RGB"), ("depth", "I;16")):
            path = root / part / f"{id}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new(kind, (40, 32), 1000 if kind != "RGB" else None).save(path)
    (root / "rilievo.yaml").write_text(scene)
    return root


@pytest.mark.parametrize(
    ("said", "scenes"),
    [
        ("{}", [None, None, None]),
        ("scene: 0", ["clip", "clip", "clip"]),
        ("scene: 1", ["a", "a", "b"]),
        ("scene: 2", ["a/x", "a/y", "b"]),
    ],
)
def test_a_folder_says_how_much_of_an_id_is_its_scene(
    tmp_path: Path, said: str, scenes: list[str | None]
) -> None:
    dataset = open_dataset("folder", _folder(tmp_path / "clip", said))
    assert [dataset.sample(id).scene for id in dataset.ids] == scenes


def test_images_outside_subfolders_are_a_scene_that_is_named_after_the_whole_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = _folder(tmp_path / "clip", "scene: 1")
    for part in ("images", "depth"):
        (root / part / "b/1.png").rename(root / part / "loose.png")
    monkeypatch.chdir(root)
    dataset = open_dataset("folder", Path())
    assert [dataset.scene(id) for id in ("a/x/1", "loose")] == ["a", "clip"]


def test_a_subfolder_with_the_name_of_the_whole_folder_stays_a_scene_of_its_own(
    tmp_path: Path,
) -> None:
    root = _folder(tmp_path / "a", "scene: 1")
    for part in ("images", "depth"):
        (root / part / "b/1.png").rename(root / part / "loose.png")
    dataset = open_dataset("folder", root)
    assert dataset.scene("a/x/1") == "a"
    assert dataset.scene("loose") != "a"


def test_a_negative_number_of_folders_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'scene'.*0 or more.*-1"):
        open_dataset("folder", _folder(tmp_path, "scene: -1"))
