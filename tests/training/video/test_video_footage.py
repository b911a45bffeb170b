from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rilievo.data.clips.footage import VideoData
from rilievo.errors import InputError, RilievoError
from rilievo.training.video.frames.video_frames import VideoFrames, open_frames
from support.footage import view, write_frames

SIZE = (32, 64)
RNG = np.random.default_rng
PAN = list(range(0, 60, 3))


def opened(root: Path, cache: Path | None = None, **said: object) -> VideoFrames:
    settings = {"roots": (str(root),), "fov": 60.0, "least_motion": 0.2, "stride": 1, **said}
    data = VideoData(**settings)  # pyright: ignore[reportArgumentType]
    return open_frames(data, size=SIZE, offsets=(-1, 1), cache=cache or root.with_name("kept"))


def test_still_frames_cuts_and_broken_ones_are_counted(tmp_path: Path) -> None:
    positions = [0.0, 3, 6, 9, *[9] * 5, 12, 15, 18]
    paths = write_frames(tmp_path / "clip", positions)
    for index, position in enumerate([0, 3, 6, 9]):
        Image.fromarray(view(position, seed=70)).save(paths[0].with_name(f"{100 + index}.png"))
    paths[1].write_bytes(b"no picture")
    frames = opened(tmp_path / "clip", least_motion=0.7, held_out=0.0)
    assert len(frames.training) == 6 - 2 + 4 - 2
    said = "\n".join(frames.notes)
    assert (
        "rilievo skips 5 of 16 frames, because the camera hardly moves; the footage has 1 cut; "
        in said
    )
    assert "skipped: " in said
    assert "000001.png" in said


def test_many_broken_frames_are_counted_and_the_first_named(tmp_path: Path) -> None:
    paths = write_frames(tmp_path / "clip", list(range(0, 90, 3)))
    for path in paths[5:20]:
        path.write_bytes(b"no picture")
    frames = opened(tmp_path / "clip", tmp_path / "cache", held_out=0.0)
    named = [note for note in frames.notes if note.startswith("skipped: ")]
    assert len(named) == 11
    assert named[-1] == "skipped: 5 more broken frames"
    assert any("decoded frames take 0." in note for note in frames.notes)


@pytest.mark.slow
def test_motion_is_remembered_beside_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_frames(tmp_path / "clip", PAN)
    first = opened(tmp_path / "clip", tmp_path / "cache", stride=None)
    monkeypatch.setattr("rilievo.training.video.frames.image_motion.find_moving_frames", None)
    second = opened(tmp_path / "clip", tmp_path / "cache", stride=None)
    assert first.training.ids == second.training.ids
    assert first.notes == second.notes


def test_a_still_camera_is_said_in_one_line(tmp_path: Path) -> None:
    write_frames(tmp_path / "clip", [5.0] * 10)
    with pytest.raises(InputError, match="clip: the camera hardly moves: 9 of 10 frames") as caught:
        opened(tmp_path / "clip", least_motion=1.0)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("positions", "said", "says"),
    [
        ([0.0, 3.0], {}, "none of 2 frames can be a target: 2 have no neighbour"),
        (PAN, {"stride": 15}, r"none of 20 frames can be a target: .*, stride 15\)"),
        (PAN, {"stride": None, "parallax": 900.0}, "stride 10, chosen because the camera hardly"),
        (PAN, {"camera": (80.0, 80.0, 200.0, 31.5), "fov": None}, "far from the centre of frames"),
    ],
)
def test_footage_that_nothing_can_be_learned_from_is_refused(
    positions: list[float], said: dict[str, object], says: str, tmp_path: Path
) -> None:
    write_frames(tmp_path / "clip", positions)
    with pytest.raises(RilievoError, match=says) as caught:
        opened(tmp_path / "clip", **said)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_real_footage_of_a_car_loses_what_stands_still(data_folder: Path, tmp_path: Path) -> None:
    """The car stops near frame 536 for some four seconds."""
    source, links = data_folder / "kitti_video_416x128" / "rgb", tmp_path / "clip"
    links.mkdir()
    for index in range(500, 590):
        (links / f"{index}.jpg").symlink_to(source / f"{index:06d}.jpg")
    data = VideoData(roots=(str(links),), camera=(240.969, 244.717, 203.205, 62.723))
    frames = open_frames(data, size=(128, 416), offsets=(-1, 1), cache=tmp_path / "kept")
    kept = {int(id.rpartition("/")[2]) for id in frames.training.ids}
    assert len([index for index in range(536, 565) if index not in kept]) >= 15
    assert set(range(505, 530)) <= kept
    assert frames.sequences[0].stride == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "count", "stride"), [("7scenes_redkitchen", 80, 3), ("tum_fr1_desk_9", 9, 1)]
)
def test_real_clips_of_a_hand_open_as_they_lie(
    name: str, count: int, stride: int, data_folder: Path, tmp_path: Path
) -> None:
    data = VideoData(roots=(str(data_folder / name),), poses="auto")
    frames = open_frames(data, size=(128, 160), offsets=(-1, 1), cache=tmp_path / "kept")
    assert frames.sequences[0].frames.count == count
    assert abs(frames.sequences[0].stride - stride) <= 2
    for motion in frames.training.read_truth(0).source_T_target:
        assert motion is not None
        assert np.linalg.norm(motion[:3, 3]) < 0.3
