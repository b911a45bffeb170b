"""Files of training on video that are whole and lie about what is in them: one line each."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.data.clips.footage import SourceKind, VideoData
from rilievo.data.clips.pose_files import read_kitti_poses
from rilievo.data.clips.sequence_camera import read_calibration
from rilievo.data.clips.sources import list_sequences
from rilievo.errors import InputError, RilievoError
from rilievo.training.video.frames.frame_store import CacheFiles
from rilievo.training.video.frames.video_frames import open_frames
from rilievo.training.video.video_records import video_run_folder
from support.footage import write_frames


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("c.json", '{"width": 9, "height": 9, "K": [1' + "0" * 400 + ", 0, 0, 1]}"),
        ("c.json", '{"' + "x" * 100_000 + '": 1}'),
        ("c.json", "[" * 100_000),
        ("c.yaml", "a: &a [1]\n" + "".join(f"b{n}: &a [*a, *a, *a]\n" for n in range(40))),
    ],
)
def test_a_calibration_that_lies_is_refused_in_one_line(
    tmp_path: Path, name: str, text: str
) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError) as caught:
        read_calibration(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 1000


@pytest.mark.parametrize("number", ["1e308", "nan", "-inf", "-2"])
def test_poses_that_are_no_motion_are_refused_without_a_warning(
    tmp_path: Path, number: str
) -> None:
    (tmp_path / "p.txt").write_text(f"1 0 0 0 0 1 0 0 0 0 1 0\n{number} 0 0 0 0 1 0 0 0 0 1 0\n")
    with pytest.raises(InputError, match="pose 2 is not a rigid motion"):
        read_kitti_poses(tmp_path / "p.txt")


def test_a_device_in_the_place_of_a_record_is_not_read_for_ever(tmp_path: Path) -> None:
    folder = video_run_folder(tmp_path)
    for name, read in (("record.json", folder.read_record), ("config.json", folder.read_config)):
        (tmp_path / name).symlink_to("/dev/zero")
        with pytest.raises(RilievoError, match=name):
            read()


@pytest.mark.parametrize(
    "change",
    [
        {"broken": []},
        {"broken": {"x": "y"}},
        {"count": "3"},
        {"fault": 1},
        {"size": [64, 0]},
        {"size": [96, 64]},
    ],
)
def test_what_a_cache_says_wrongly_of_itself_counts_as_nothing(
    tmp_path: Path, change: dict[str, object]
) -> None:
    files = CacheFiles(tmp_path / "f.frames", (64, 96))
    files.frames.touch()
    about = {
        "format": "rilievo-frames/2",
        "size": [64, 96],
        "count": 3,
        "broken": {"1": "cut"},
        "fault": None,
    }
    files.description_path.write_text(json.dumps(about))
    description = files.read_description()
    assert description is not None
    assert description.broken == {"1": "cut"}
    files.description_path.write_text(json.dumps(about | change))
    assert files.read_description() is None


@pytest.mark.parametrize(
    "lie",
    [
        b"\xff\xfe",
        b'{"runs": [[0, 1, 9]], "parallaxes": [1.0], "still": 0, "cuts": 0, "largest": 1.0}',
        b'{"runs": [[1, 0, 2]], "parallaxes": [1.0], "still": 0, "cuts": 0, "largest": 1.0}',
        b'{"runs": [[0, 1, 2]], "parallaxes": [-1.0], "still": 0, "cuts": 0, "largest": 1.0}',
    ],
)
def test_motion_that_is_remembered_wrongly_is_measured_again(tmp_path: Path, lie: bytes) -> None:
    clip = tmp_path / "clip"
    clip.mkdir()
    still = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    for number in range(4):
        Image.fromarray(np.roll(still, 3 * number, axis=1)).save(clip / f"{number}.png")
    data = VideoData(roots=(str(clip),), fov=60.0, held_out=0.0, stride=1)
    asked = {"size": (64, 96), "offsets": (-1, 1), "cache": tmp_path / "kept"}
    first = open_frames(data, **asked)
    [motion] = (tmp_path / "kept").glob("*.motion-*.json")
    right = motion.read_bytes()
    motion.write_bytes(lie)
    assert open_frames(data, **asked).training.ids == first.training.ids
    assert motion.read_bytes() == right


@pytest.mark.parametrize("lie", [{"size": [64, 0]}, {"count": 5}, {"count": 0}])
def test_a_cache_whose_size_or_count_is_wrong_is_made_again(
    tmp_path: Path, lie: dict[str, object]
) -> None:
    clip = tmp_path / "clip"
    clip.mkdir()
    still = np.random.default_rng(0).integers(0, 255, (64, 96, 3), np.uint8)
    for number in range(4):
        Image.fromarray(np.roll(still, 3 * number, axis=1)).save(clip / f"{number}.png")
    data = VideoData(roots=(str(clip),), fov=60.0, held_out=0.0, stride=1)
    asked = {"size": (64, 96), "offsets": (-1, 1), "cache": tmp_path / "kept"}
    first = open_frames(data, **asked)
    [description] = (
        path for path in (tmp_path / "kept").glob("*.json") if ".motion-" not in path.name
    )
    right = json.loads(description.read_text())
    description.write_text(json.dumps(right | lie))

    assert open_frames(data, **asked).training.ids == first.training.ids
    assert json.loads(description.read_text()) == right


@pytest.mark.parametrize("focal", ["0", "-80", "1e308"])
def test_a_projection_without_a_focal_length_is_one_line(tmp_path: Path, focal: str) -> None:
    folder = tmp_path / "sequences" / "07"
    for eye in ("image_2", "image_3"):
        write_frames(folder / eye, [0.0, 0.0])
    (folder / "calib.txt").write_text(
        f"P2: {focal} 0 47 4.8 0 80 31 0 0 0 1 0\nP3: 80 0 47 -37.6 0 80 31 0 0 0 1 0\n"
    )
    data = VideoData(roots=(str(tmp_path),), kind=SourceKind.KITTI_ODOMETRY)
    with pytest.raises(InputError, match=r"calib\.txt: the entry 'P2:' has no valid focal length"):
        list_sequences(data)
