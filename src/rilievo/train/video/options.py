"""Options of ``rilievo train video``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, TypeVar

import tyro

from rilievo.depth_map import DepthKind
from rilievo.errors import OptionError, suggest
from rilievo.networks.video.blueprint import PoseKind, VideoBlueprint
from rilievo.train.option_texts import field_setting, four_numbers, numbers
from rilievo.train.probe.options import whole_numbers
from rilievo.train.video.config import SourceKind, VideoConfig, VideoData, VideoRunOptions
from rilievo.train.video.footage_defaults import (
    EMBEDDED_ENCODERS,
    embedded_encoder,
    has_gpu,
    size_of_footage,
)
from rilievo.train.video.presets import overridden, preset_config

_WITHOUT_IMAGENET = ("lite",)
SCRATCH = "scratch"
_Number = TypeVar("_Number", int, float)
_VELOCITY = "losses.velocity"


@dataclass(frozen=True, kw_only=True)
class VideoOptions:
    """Options of training depth and motion from frames without true depth.

    Raises:
        OptionError: If an option is out of range, or two contradict each other.
    """

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "Footage": (
            "kind",
            "split",
            "poses",
            "follow_poses",
            "stereo",
            "stereo_only",
            "stride",
            "held_out",
            "limit",
        ),
        "Camera": ("camera", "camera_file", "fov", "learn_camera"),
        "Network": ("preset", "encoder", "pose", "size", "depth_range", "start", "prior"),
        "Steps": (
            "minutes",
            "epochs",
            "steps",
            "batch_size",
            "accumulate",
            "learning_rate",
            "milestones",
            "set",
            "seed",
        ),
        "Speed": ("precision", "device", "devices", "nodes", "workers", "cache"),
    }
    GROUP: ClassVar[str] = "Output"

    roots: Annotated[
        tuple[Path, ...], tyro.conf.Positional, tyro.conf.arg(metavar="VIDEO|FOLDER...")
    ]
    """Videos, folders of frames or folders of these; for a named dataset, its one folder."""
    output: Annotated[Path, tyro.conf.arg(aliases=("-o",), metavar="FOLDER")]
    """Folder of the run: a model for 'predict', 'evaluate', 'export' and 'view'."""
    camera: Annotated[str | None, tyro.conf.arg(metavar="FX,FY,CX,CY")] = None
    """Intrinsics [px] at the frames' own size."""
    camera_file: Annotated[Path | None, tyro.conf.arg(metavar="FILE")] = None
    """File of intrinsics, and lens distortion: YAML, or a matrix as text."""
    fov: Annotated[float | None, tyro.conf.arg(metavar="DEGREES")] = None
    """Horizontal field of view, where nothing better is known."""
    learn_camera: bool = False
    """Refine the focal lengths while training."""
    kind: str = "frames"
    """Layout of the frames on disk: frames, kitti-raw, kitti-odometry or cityscapes."""
    split: str | None = None
    """List of targets, or a name that the dataset knows."""
    poses: Annotated[str | None, tyro.conf.arg(metavar="FILE|auto")] = None
    """Known poses: a KITTI or TUM file, or 'auto' for the file beside the frames. Validation is
    scored against them, and --set losses.velocity=0.05 learns metres from them."""
    follow_poses: bool = False
    """Take motion from the poses in place of a pose network: depth is in metres."""
    stereo: bool = False
    """Use the other camera of the stereo pair as a source too."""
    stereo_only: bool = False
    """Use the other camera of the stereo pair as the only source."""
    stride: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Frames between neighbours; by default chosen from the measured motion."""
    held_out: float | None = None
    """Share of the targets held out for validation: the last of every sequence; by default 0.05,
    and 0.1 with preset clip."""
    limit: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Train on the first N targets only."""
    preset: str | None = None
    """Preset: clip refines an embedded model in minutes; default trains all networks; faithful
    trains as the authors of Monodepth2 did. By default clip where there is no GPU and no option
    asks for more, else default."""
    encoder: str | None = None
    """Encoder: small or tiny (those of the embedded models), resnet18, resnet34, resnet50, lite, or
    timm/NAME; by default small with preset clip, else resnet18."""
    pose: str | None = None
    """Source of motion: geometry (tracked corners and depth; the default with preset clip), or a
    pose network: separate, shared or cnn; none where poses or the baseline are known."""
    size: Annotated[str | None, tyro.conf.arg(metavar="HEIGHT,WIDTH")] = None
    """Size at which the networks see frames [px]; multiples of 32. By default 192,640, and about
    65,000 pixels of the footage's shape with preset clip."""
    depth_range: Annotated[str, tyro.conf.arg(metavar="NEAR,FAR")] = "0.1,100"
    """Range of depth that can be predicted, in its unit."""
    start: str | None = None
    """Initial weights: rilievo/small or rilievo/tiny (the default for those encoders), imagenet
    (the default for encoders that have it), scratch, or the folder of a run or of a checkpoint."""
    prior: Annotated[str | None, tyro.conf.arg(metavar="MODEL")] = None
    """Model whose depth gives the first motion and teaches, with --pose geometry; by default the
    initial weights."""
    minutes: float | None = None
    """Time for the whole run, in place of epochs; with preset clip 10."""
    epochs: int | None = None
    """Passes through the targets; by default 20."""
    steps: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Number of steps, in place of epochs."""
    batch_size: int | None = None
    """Targets per forward pass on each device; by default 12, with preset clip 4."""
    accumulate: int | None = None
    """Batches whose gradients are added before a step."""
    learning_rate: float | None = None
    """Learning rate; by default 1e-4."""
    milestones: Annotated[str | None, tyro.conf.arg(metavar="EPOCH,...")] = None
    """Epochs after which the learning rate falls to a tenth; by default 15."""
    set: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="FIELD=VALUE")
    ] = ()
    """Any other field of the configuration, such as losses.consistency=0.1; for several, repeat
    the option."""
    seed: int = 0
    precision: str = "fp32"
    """Precision of the networks: fp32, bf16, or fp16 on a GPU."""
    device: str = "auto"
    """Device: auto, cpu, cuda or cuda:N."""
    devices: int = 1
    """Processes on this machine, one per device; torchrun sets it by itself, with -- before the
    command: torchrun --nproc-per-node 4 --module -- rilievo train video ..."""
    nodes: int = 1
    """Number of machines."""
    workers: int = 2
    """Threads that prefetch frames."""
    cache: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder of decoded frames; by default in the run's folder."""
    tensorboard: bool = False
    """Write events for TensorBoard too."""
    resume: bool = False
    """Resume the run in the folder."""
    dry_run: bool = False
    """Print what would be trained, and how it differs from the preset 'default'."""

    @property
    def data(self) -> VideoData:
        """Frames to train on."""
        if self.kind not in list(SourceKind):
            raise OptionError(f"no kind of frames '{self.kind}'; {suggest(self.kind, SourceKind)}")
        return VideoData(
            kind=SourceKind(self.kind),
            roots=tuple(map(str, self.roots)),
            split=self.split,
            camera=four_numbers("--camera", self.camera),
            camera_file=None if self.camera_file is None else str(self.camera_file),
            fov=self.fov,
            learn_camera=self.learn_camera,
            poses=self.poses,
            follow_poses=self.follow_poses,
            stereo=self.stereo or self.stereo_only,
            temporal=not self.stereo_only,
            stride=self.stride,
            parallax=self._or_clip(None, 5.0, 2.0),
            held_out=self._or_clip(self.held_out, 0.1, 0.05),
            limit=self.limit,
        )

    @property
    def blueprint(self) -> VideoBlueprint:
        """Blueprint of the networks to train."""
        height, width = self._size
        near, far = numbers("--depth-range", self.depth_range, 2)
        known = self.follow_poses or self.stereo_only
        usual = PoseKind.GEOMETRY if self.is_clip else PoseKind.SEPARATE
        pose = self.pose or (PoseKind.NONE if known else usual)
        if pose not in list(PoseKind):
            raise OptionError(f"no source of motion '{pose}'; {suggest(pose, PoseKind)}")
        return VideoBlueprint(
            encoder=self._encoder,
            pose=PoseKind(pose),
            size=(height, width),
            scales=(0,) if self._encoder in EMBEDDED_ENCODERS else (0, 1, 2, 3),
            min_depth=near,
            max_depth=far,
            kind=DepthKind.METRIC if self._in_metres else DepthKind.UP_TO_SCALE,
        )

    @property
    def config(self) -> VideoConfig:
        """Configuration of the run."""
        plain = VideoConfig(
            blueprint=self.blueprint,
            data=self.data,
            preset=self._preset,
            start=self._start,
            prior=self.prior,
            batch_size=self._or_clip(self.batch_size, 4, 12),
            seed=self.seed,
        )
        milestones = self.milestones and whole_numbers("--milestones", self.milestones, None)
        changes = {
            "minutes": self.minutes,
            "epochs": self.epochs,
            "steps": self.steps,
            "accumulate": self.accumulate,
            "learning_rate": self.learning_rate,
            "milestones": milestones,
            "precision": self.precision,
        }
        given: dict[str, object] = {
            name: value for name, value in changes.items() if value is not None
        }
        if self.minutes is None and (self.epochs or self.steps):
            given["minutes"] = None
        return overridden(preset_config(plain), given | dict(map(field_setting, self.set)))

    @property
    def run_options(self) -> VideoRunOptions:
        """Options of the run that do not change its result."""
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
    def is_clip(self) -> bool:
        """Whether the preset is ``clip``, asked for or by default."""
        return self._preset == "clip"

    @property
    def _preset(self) -> str:
        if self.preset is not None:
            return self.preset
        more = (
            self.pose not in (None, PoseKind.GEOMETRY)
            or self.encoder not in (None, *EMBEDDED_ENCODERS)
            or (self.start is not None and embedded_encoder(self.start) is None)
            or (self._in_metres or self.learn_camera)
            or self.devices * self.nodes > 1
        )
        return "default" if more or has_gpu(self.device) else "clip"

    @property
    def _in_metres(self) -> bool:
        return self.follow_poses or self.stereo or self.stereo_only or self._learns_speed

    @property
    def _learns_speed(self) -> bool:
        """Whether metres are learned from the distances of known poses."""
        return bool(dict(map(field_setting, self.set)).get(_VELOCITY))

    @property
    def _encoder(self) -> str:
        if self.encoder is not None:
            return self.encoder
        begun = None if self.start is None else embedded_encoder(self.start)
        return begun or ("small" if self.is_clip else "resnet18")

    @property
    def _size(self) -> tuple[int, int]:
        if self.size is not None:
            height, width = whole_numbers("--size", self.size, 2)
            return height, width
        return size_of_footage(self.data) if self.is_clip else (192, 640)

    @property
    def _start(self) -> str | None:
        if self.start is not None:
            return None if self.start == SCRATCH else self.start
        if self._encoder in EMBEDDED_ENCODERS:
            return f"rilievo/{self._encoder}"
        return None if self._encoder in _WITHOUT_IMAGENET else "imagenet"

    def _or_clip(self, given: _Number | None, clip: _Number, usual: _Number) -> _Number:
        """Return what was given, else the default of the preset."""
        if given is not None:
            return given
        return clip if self.is_clip else usual
