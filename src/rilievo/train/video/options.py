"""The options of ``rilievo train video``, and its run."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rilievo.depth_map import DepthKind
from rilievo.errors import OptionError, suggest
from rilievo.networks.video.blueprint import PoseKind, VideoBlueprint
from rilievo.train.probe.options import whole_numbers
from rilievo.train.video.config import SourceKind, VideoConfig, VideoData, VideoRunOptions
from rilievo.train.video.presets import overridden, preset_config

_WITHOUT_IMAGENET = ("lite",)
SCRATCH = "scratch"
_VELOCITY = "losses.velocity"


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """Depth and motion from frames that know neither.

    Raises:
        OptionError: If an option is out of range, or two do not go together.
    """

    roots: Annotated[
        tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="VIDEO|FOLDER...")
    ]
    """Videos, folders of frames or folders of such; of a named dataset, its one folder."""
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FOLDER")]
    """Folder of the run: a model for 'predict', 'evaluate', 'export' and 'view'."""
    camera: Annotated[str | None, tyro.conf.arg(metavar="FX,FY,CX,CY")] = None
    """Intrinsics [px] at the frames' own size."""
    camera_file: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """Intrinsics, and lens distortion, from a YAML or a matrix as text."""
    fov: Annotated[float | None, tyro.conf.arg(metavar="DEGREES")] = None
    """Horizontal field of view, where nothing better is known."""
    learn_camera: bool = False
    """Refine the focal lengths while training."""
    kind: str = "frames"
    """How frames lie on disk: frames, kitti-raw, kitti-odometry or cityscapes."""
    split: str | None = None
    """A list of targets, or a name that the dataset knows."""
    poses: Annotated[str | None, tyro.conf.arg(metavar="FILE|auto")] = None
    """Known motion: a file of KITTI's or TUM's, or 'auto' for that beside; validation is held
    against it, and --set losses.velocity=0.05 learns metres from it."""
    follow_poses: bool = False
    """Take motion from the poses in place of a pose network: depth is in metres."""
    stereo: bool = False
    """The other eye is a source too."""
    stereo_only: bool = False
    """The other eye is the only source."""
    stride: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Frames between neighbours; by default chosen by measured motion."""
    held_out: float = 0.05
    """Share of the frames kept for validation: the last of every sequence."""
    limit: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """The first N targets alone."""
    preset: str = "default"
    """default, or faithful: as the authors of Monodepth2 trained."""
    encoder: str = "resnet18"
    """resnet18, resnet34, resnet50, lite, or timm/NAME."""
    pose: str | None = None
    """What tells motion: separate, shared or cnn; none where poses or the baseline are known."""
    size: Annotated[str, tyro.conf.arg(metavar="HEIGHT,WIDTH")] = "192,640"
    """At which the networks see frames [px]; multiples of 32."""
    depth_range: Annotated[str, tyro.conf.arg(metavar="NEAR,FAR")] = "0.1,100"
    """What depth can come out, in its unit."""
    start: str | None = None
    """imagenet (the default where the encoder has such weights), scratch, the folder of a run, or
    that of an official checkpoint."""
    epochs: int | None = None
    """By default 20."""
    steps: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Steps in all, in place of epochs."""
    batch_size: int = 12
    """Targets of a forward pass on each device."""
    accumulate: int | None = None
    """Batches whose gradients are added before a step."""
    learning_rate: float | None = None
    """By default 1e-4."""
    milestones: Annotated[str | None, tyro.conf.arg(metavar="EPOCH,...")] = None
    """Epochs after which the learning rate falls to a tenth; by default 15."""
    set: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="FIELD=VALUE")
    ] = ()
    """Any other field of the configuration, such as losses.consistency=0.1; for several, repeat
    the option."""
    seed: int = 0
    precision: str = "fp32"
    """fp32, bf16, or fp16 on a GPU."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:N."""
    devices: int = 1
    """Processes on this machine, a device each; torchrun says it by itself, with -- before what is
    not its own: torchrun --nproc-per-node 4 --module -- rilievo train video ..."""
    nodes: int = 1
    """Machines."""
    workers: int = 2
    """That read frames ahead."""
    cache: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Where decoded frames are kept; by default in the run's folder."""
    tensorboard: bool = False
    """Write events for TensorBoard too."""
    resume: bool = False
    """Go on with the run in the folder."""
    dry_run: bool = False
    """Say what would be trained, and how it differs from the preset 'default'."""

    @property
    def data(self) -> VideoData:
        """Which frames."""
        if self.kind not in list(SourceKind):
            raise OptionError(f"no kind of frames '{self.kind}'; {suggest(self.kind, SourceKind)}")
        return VideoData(
            kind=SourceKind(self.kind),
            roots=tuple(map(str, self.roots)),
            split=self.split,
            camera=_four_numbers("--camera", self.camera),
            camera_file=None if self.camera_file is None else str(self.camera_file),
            fov=self.fov,
            learn_camera=self.learn_camera,
            poses=self.poses,
            follow_poses=self.follow_poses,
            stereo=self.stereo or self.stereo_only,
            temporal=not self.stereo_only,
            stride=self.stride,
            held_out=self.held_out,
            limit=self.limit,
        )

    @property
    def blueprint(self) -> VideoBlueprint:
        """What is trained."""
        height, width = whole_numbers("--size", self.size, 2)
        near, far = numbers("--depth-range", self.depth_range, 2)
        known = self.follow_poses or self.stereo_only
        pose = self.pose or (PoseKind.NONE if known else PoseKind.SEPARATE)
        if pose not in list(PoseKind):
            raise OptionError(f"no pose network '{pose}'; {suggest(pose, PoseKind)}")
        in_metres = known or self.stereo or bool(dict(map(_setting, self.set)).get(_VELOCITY))
        return VideoBlueprint(
            encoder=self.encoder,
            pose=PoseKind(pose),
            size=(height, width),
            min_depth=near,
            max_depth=far,
            kind=DepthKind.METRIC if in_metres else DepthKind.UP_TO_SCALE,
        )

    @property
    def config(self) -> VideoConfig:
        """The run."""
        plain = VideoConfig(
            blueprint=self.blueprint,
            data=self.data,
            preset=self.preset,
            start=self._start,
            batch_size=self.batch_size,
            seed=self.seed,
        )
        milestones = self.milestones and whole_numbers("--milestones", self.milestones, None)
        changes = {
            "epochs": self.epochs,
            "steps": self.steps,
            "accumulate": self.accumulate,
            "learning_rate": self.learning_rate,
            "milestones": milestones,
            "precision": self.precision,
        }
        given = {name: value for name, value in changes.items() if value is not None}
        return overridden(preset_config(plain), given | dict(map(_setting, self.set)))

    @property
    def run_options(self) -> VideoRunOptions:
        """How it is done."""
        return VideoRunOptions(
            device=self.device,
            devices=self.devices,
            nodes=self.nodes,
            workers=self.workers,
            cache=None if self.cache is None else str(self.cache),
            tensorboard=self.tensorboard,
            resume=self.resume,
        )

    @property
    def _start(self) -> str | None:
        if self.start is None:
            return None if self.encoder in _WITHOUT_IMAGENET else "imagenet"
        return None if self.start == SCRATCH else self.start


def numbers(flag: str, text: str, count: int) -> tuple[float, ...]:
    """Numbers with commas between.

    Args:
        flag: For messages.
        text: What was given.
        count: How many are expected.

    Raises:
        OptionError: If they are no numbers, or not as many.
    """
    try:
        values = tuple(float(part) for part in text.split(","))
    except ValueError:
        values = ()
    if len(values) != count or not all(math.isfinite(value) for value in values):
        raise OptionError(f"{flag} is {count} numbers with commas between, got '{text}'")
    return values


def _four_numbers(flag: str, text: str | None) -> tuple[float, float, float, float] | None:
    if text is None:
        return None
    fx, fy, cx, cy = numbers(flag, text, 4)
    return fx, fy, cx, cy


def _setting(text: str) -> tuple[str, object]:
    """A field and its value; what is no JSON is text."""
    name, equals, value = text.partition("=")
    if not equals:
        raise OptionError(f"--set takes FIELD=VALUE, such as losses.consistency=0.1, got '{text}'")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value
