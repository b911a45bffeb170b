"""Numbers of thousands of digits in lists of frames and poses, which no system takes."""

import json
from pathlib import Path

import numpy as np
import pytest

from rilievo.data.clips.pose_files import read_poses
from rilievo.data.clips.sequences import ClipFrame
from rilievo.data.clips.split_lists import read_frame_list
from rilievo.errors import InputError

DIGITS = 5000 * "7"


@pytest.mark.parametrize("number", [DIGITS, 19 * "1"])
def test_a_frame_s_number_of_too_many_digits_is_refused_in_a_line(
    tmp_path: Path, number: str
) -> None:
    path = tmp_path / "train_files.txt"
    path.write_text(f"2011_09_26/drive {number} l\n")
    with pytest.raises(InputError, match="line 1 is") as error:
        read_frame_list(path)
    assert len(str(error.value)) < 500
    path.write_text("2011_09_26/drive 0000000005 l\n")
    assert [item.number for item in read_frame_list(path)] == [5]


def test_numbers_of_frames_and_sizes_that_no_camera_has_are_left_out(tmp_path: Path) -> None:
    pose = np.eye(4).tolist()
    frames = [{"file_path": f"images/{DIGITS}.png", "transform_matrix": pose}]
    path = tmp_path / "transforms.json"
    text = json.dumps({"w": 1.0, "h": 640, "fl_x": 500, "frames": frames})
    path.write_text(text.replace("1.0,", "1e999,", 1))
    result = read_poses(path)
    assert result.camera is None
    with pytest.raises(InputError, match="has no pose for any frame"):
        result.poses_of_frames([ClipFrame(index=0, name="000000.png", seconds=0.0)], 1)
