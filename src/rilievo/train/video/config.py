"""What a training run on video is made of."""

from dataclasses import dataclass, field
from enum import StrEnum

from rilievo.errors import OptionError
from rilievo.losses.video_options import Scales as Scales
from rilievo.losses.video_options import VideoLosses as VideoLosses
from rilievo.networks.video.blueprint import VideoBlueprint

FORMAT = "rilievo-video/1"


class SourceKind(StrEnum):
    """How frames lie on disk."""

    FRAMES = "frames"
    """Videos, folders of frames, or a folder of such."""
    KITTI_RAW = "kitti-raw"
    KITTI_ODOMETRY = "kitti-odometry"
    CITYSCAPES = "cityscapes"


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoData:
    """Which frames a run trains on."""

    kind: SourceKind = SourceKind.FRAMES
    roots: tuple[str, ...]
    """Videos or folders; of the named datasets, one folder."""
    split: str | None = None
    """A list's file, or a name that the dataset knows (sequences of odometry: 00,01,...)."""
    camera: tuple[float, float, float, float] | None = None
    """fx, fy, cx, cy [px] at the frames' own size; pixel centres at whole numbers."""
    camera_file: str | None = None
    """Intrinsics (and lens distortion) from a file: YAML, or a matrix as text."""
    fov: float | None = None
    """Horizontal field of view [degrees], where nothing better is known."""
    learn_camera: bool = False
    """Whether the focal lengths are refined while training."""
    poses: str | None = None
    """Known motion, for metric scale: a file of KITTI's or TUM's, or 'auto' for the one beside."""
    stereo: bool = False
    """Whether the other eye is a source too."""
    temporal: bool = True
    """Whether the neighbours in time are sources; without them, stereo alone."""
    stride: int | None = None
    """Frames between neighbours; None chooses it by measured motion."""
    least_motion: float = 1.0
    """Median motion [px at the training size] below which a frame is passed over as still."""
    held_out: float = 0.05
    """Share of the frames kept for validation: the last of every sequence."""
    limit: int | None = None
    """The first targets alone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoAugmentation:
    """How frames are changed; all frames of a sample alike, drawn once."""

    flip: float = 0.5
    """How often a sample is mirrored; its principal point moves with it."""
    jitter: float = 0.5
    """How often what the networks see is changed in colour."""
    brightness: float = 0.2
    contrast: float = 0.2
    saturation: float = 0.2
    hue: float = 0.1
    move_centre: bool = True
    """Whether a flip moves the principal point; the published program leaves it."""

    def __post_init__(self) -> None:
        for name in ("flip", "jitter"):
            if not 0 <= getattr(self, name) <= 1:
                raise OptionError(f"{name} is a share of 0 to 1, got {getattr(self, name)}")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoConfig:
    """A run: what is trained, on what, how long, how."""

    format: str = FORMAT
    """Of the run's folder."""
    blueprint: VideoBlueprint = field(default_factory=VideoBlueprint)
    data: VideoData
    preset: str = "default"
    """Where the numbers below come from; the record lists what differs."""
    losses: VideoLosses = field(default_factory=VideoLosses)
    augmentation: VideoAugmentation = field(default_factory=VideoAugmentation)
    offsets: tuple[int, ...] = (-1, 1)
    """Neighbours of a target that are its sources, in strides."""
    start: str | None = None
    """Weights to start from: a run's folder, an official checkpoint's, or 'imagenet' for the
    encoders'; None from scratch."""
    epochs: int = 20
    batch_size: int = 12
    accumulate: int = 1
    """Batches whose gradients are added before a step."""
    learning_rate: float = 1e-4
    milestones: tuple[int, ...] = (15,)
    """Epochs after which the learning rate falls to a tenth."""
    weight_decay: float = 0.0
    clip_norm: float | None = None
    """Largest norm of a step's gradient; None leaves it."""
    seed: int = 0
    precision: str = "fp32"
    """Of the networks' arithmetic: fp32, bf16, or fp16 on a GPU."""
    checkpoint_steps: int = 500
