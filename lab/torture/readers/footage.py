"""Files that training on video reads and writes: runs, cameras, poses, lists, frames."""

import json
import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from lab.torture.reader import row, sample, write_text
from lab.torture.readers.pictures import colours, save
from rilievo.io.json_record import to_json
from rilievo.models import load_model
from rilievo.records.sample import Photo

if TYPE_CHECKING:
    import torch

    from rilievo.data.clips.footage import VideoData
    from rilievo.training.engine.checkpoint import Stateful
    from rilievo.training.networks.video.video_networks import VideoNetworks
    from rilievo.training.video.video_config import VideoConfig

_SIZE = (64, 96)
_PRINT = "f" * 64
_POSE = "1 0 0 {0} 0 1 0 0.5 0 0 1 {0}.25\n"
_STAMPED = "# path\n0.0 1 2 3 0 0 0 1\n1.0 4 5 6 0 0 0.7071 0.7071\n2.0 4 5 6 0 0 0 1\n"
_SQUARE = "1 0 0 0.5\n0 1 0 -2e-1\n0 0 1 3\n0 0 0 1\n"
_PROJECTIONS = "P2: 40 0 23 4 0 40 18 0 0 0 1 0\nP3: 40 0 23 -4 0 40 18 0 0 0 1 0\n"


def _config() -> "VideoConfig":
    from rilievo.data.clips.footage import VideoData
    from rilievo.training.networks.blueprint import PoseKind, VideoBlueprint
    from rilievo.training.video.video_config import VideoConfig

    return VideoConfig(
        blueprint=VideoBlueprint(encoder="lite", pose=PoseKind.CNN, size=_SIZE, scales=(0, 1, 2)),
        data=VideoData(roots=("footage",)),
    )


def _networks() -> "VideoNetworks":
    from rilievo.training.networks.video.video_networks import make_networks

    return make_networks(_config().blueprint, offsets=(-1, 1), seed=0, start=None)


@cache
def _weights() -> bytes:
    from safetensors.torch import save as packed

    return packed({name: each.contiguous() for name, each in _networks().state_dict().items()})


def _run(folder: Path) -> None:
    (folder / "config.json").write_text(to_json(_config(), indent=2))
    (folder / "weights.safetensors").write_bytes(_weights())


def _read_run(folder: Path) -> object:
    from rilievo.training.video.video_records import video_run_folder

    model = load_model(folder, device="cpu", threads=1)
    return model.predict_raw([Photo(pixels=colours(0, _SIZE))]), video_run_folder(
        folder
    ).read_config()


def _read_motion(folder: Path) -> object:
    from rilievo.training.adapters.network_motion import load_motion

    return load_motion(folder, device="cpu").later_T_earlier(colours(0, _SIZE), colours(1, _SIZE))


def _read_record(folder: Path) -> object:
    from rilievo.training.video.video_records import video_run_folder

    return video_run_folder(folder).read_record()


def _parts() -> dict[str, "Stateful"]:
    import torch

    learner = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(learner.parameters(), lr=1e-3)
    for each in learner.parameters():
        each.grad = torch.ones_like(each)
    optimizer.step()
    scaler = torch.amp.GradScaler("cpu", enabled=False)
    return {"learner": learner, "optimizer": optimizer, "scaler": scaler}


def _checkpoint(folder: Path) -> None:
    from rilievo.training.engine.checkpoint import save_checkpoint
    from rilievo.training.video.schedule import VideoState

    state = VideoState(step=3, start_errors=(0.5,))
    save_checkpoint(folder / "checkpoint.pt", state, _parts(), fingerprint=_PRINT)


def _read_checkpoint(folder: Path) -> object:
    from torch.optim import Optimizer

    from rilievo.training.engine.checkpoint import load_checkpoint
    from rilievo.training.video.schedule import VideoState

    parts = _parts()
    state = load_checkpoint(folder / "checkpoint.pt", VideoState, parts, fingerprint=_PRINT)
    optimizer = parts["optimizer"]
    assert isinstance(optimizer, Optimizer)
    optimizer.step()
    # What the loop does with them: whoever goes on needs numbers.
    return (
        state.step + 1,
        state.seconds + 1.0,
        (state.best_error or 0) < 1.0,
        sum(state.start_errors),
    )


def _official(folder: Path) -> None:
    """Every tensor of the published layout, with one number for all of its places."""
    import torch

    from rilievo.training.networks.video.decoder import DepthDecoder
    from rilievo.training.networks.video.encoders import ResNetEncoder

    encoder = ResNetEncoder("resnet18")
    decoder = DepthDecoder(encoder.channels, encoder.reductions, (0, 1, 2, 3))
    facts = {"height": 64, "width": 96, "use_stereo": False}
    torch.save(dict(_flat(encoder)) | facts, folder / "encoder.pth")
    torch.save(dict(_flat(decoder)), folder / "depth.pth")


def _flat(network: "torch.nn.Module") -> "Iterator[tuple[str, torch.Tensor]]":
    import torch

    for name, each in network.state_dict().items():
        yield name, torch.full((), 0.01, dtype=each.dtype).expand(each.shape)


def _read_official(folder: Path) -> object:
    from rilievo.training.networks.video.monodepth2_weights import read_official_checkpoint

    return read_official_checkpoint(folder).blueprint


def _read_calibration(name: str) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        from rilievo.data.clips.sequence_camera import read_calibration

        return read_calibration(folder / name)

    return read


def _poses(folder: Path) -> None:
    write_text(folder / "kitti.txt", "".join(_POSE.format(number) for number in range(3)))
    write_text(folder / "tum.txt", _STAMPED)
    for number in range(3):
        write_text(folder / f"{number}.pose.txt", _SQUARE)


def _read_poses(folder: Path) -> object:
    from rilievo.data.clips.pose_files import poses_beside, read_poses_of_files

    frames = [folder / f"{number}.png" for number in range(3)]
    found = [read_poses_of_files(folder / name, frames) for name in ("kitti.txt", "tum.txt")]
    return *found, poses_beside([folder], frames)


def _read_list(folder: Path) -> object:
    from rilievo.data.clips.split_lists import read_frame_list

    return read_frame_list(folder / "train_files.txt")


def _odometry(folder: Path) -> None:
    home = folder / "sequences" / "00"
    for number in range(3):
        save(home / "image_2" / f"{number:06d}.png", colours(number))
    write_text(home / "calib.txt", _PROJECTIONS)
    write_text(folder / "poses" / "00.txt", "".join(_POSE.format(each) for each in range(3)))


def _cityscapes(folder: Path) -> None:
    for number in range(18, 21):
        name = f"aachen_000000_{number:06d}"
        home = folder / "leftImg8bit_sequence" / "train" / "aachen"
        save(home / f"{name}_leftImg8bit.png", colours(number))
    camera = {
        "extrinsic": {"baseline": 0.2, "pitch": 0.03, "roll": 0.0, "x": 1.7, "y": 0.1, "z": 1.2},
        "intrinsic": {"fx": 52.5, "fy": 52.3, "u0": 23.9, "v0": 17.1},
    }
    file = "camera/train/aachen/aachen_000000_000019_camera.json"
    write_text(folder / file, json.dumps(camera))


def _listed(
    kind: str, *, split: str | None = None, poses: str | None = None
) -> Callable[[Path], object]:
    def read(folder: Path) -> object:
        from rilievo.data.clips.footage import SourceKind, VideoData
        from rilievo.data.clips.sources import list_sequences

        roots = (str(folder),)
        return list_sequences(
            VideoData(kind=SourceKind(kind), roots=roots, split=split, poses=poses)
        )

    return read


def write_kept_frames(folder: Path) -> None:
    for number in range(4):
        moved = np.roll(colours(0, _SIZE), 3 * number, axis=1)
        save(folder / "clip" / f"{number}.png", moved)
    _read_footage(folder)


def _data(folder: Path) -> "VideoData":
    from rilievo.data.clips.footage import VideoData

    return VideoData(roots=(str(folder / "clip"),), fov=60.0, held_out=0.0, stride=1)


def _read_footage(folder: Path) -> object:
    from rilievo.training.video.frames.video_frames import open_frames

    for path in (folder / "clip").glob("*.png"):
        if path.is_file():
            os.utime(path, (0, 0))  # frames of other times are not looked for in the cache
    return open_frames(_data(folder), size=_SIZE, offsets=(-1, 1), cache=folder / "kept")


READERS = (
    row("run on video: its configuration", _run, "config.json", _read_run),
    row("run on video: its weights", _run, "weights.safetensors", _read_run, 0.5),
    row(
        "run on video: motion between frames",
        _run,
        "config.json weights.safetensors",
        _read_motion,
        0.5,
    ),
    sample("run on video: its record", _read_record, 0.5),
    row("checkpoint of training on video", _checkpoint, "checkpoint.pt", _read_checkpoint),
    row("checkpoint of Monodepth2", _official, "encoder.pth depth.pth", _read_official, 0.7),
    sample("calibration of a camera, YAML", _read_calibration("camera.yaml")),
    sample("calibration of a camera, JSON", _read_calibration("camera.json")),
    row("poses of frames", _poses, "kitti.txt tum.txt 1.pose.txt", _read_poses),
    sample("list of a split's frames", _read_list, 0.5),
    row(
        "frames of KITTI odometry",
        _odometry,
        "sequences/00/calib.txt poses/00.txt",
        _listed("kitti-odometry", split="00", poses="auto"),
        0.5,
    ),
    row(
        "frames of Cityscapes",
        _cityscapes,
        "camera/train/aachen/aachen_000000_000019_camera.json",
        _listed("cityscapes"),
        0.5,
    ),
    row(
        "kept frames of footage",
        write_kept_frames,
        "kept/*.json kept/*.sums kept/*.frames clip/2.png",
        _read_footage,
        0.7,
    ),
)
