"""Configuration of a training run on video."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from rilievo.data.clips.footage import VideoData
from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.options.run_options import TrustOptions
from rilievo.schema.fields import FieldsByTitle, option
from rilievo.training.adapters.run_models import VIDEO_FORMAT
from rilievo.training.engine.config_fields import check_ranges
from rilievo.training.losses.video_options import VideoLosses
from rilievo.training.networks.blueprint import (
    HIDDEN,
    IMAGENET_START,
    IN_SHORT_HELP,
    POSE_NETWORKS,
    PoseKind,
    VideoBlueprint,
)

PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoAugmentation:
    """Random changes of samples, which are the same for all frames of a sample."""

    flip: float = 0.5
    """Probability of mirroring a sample."""
    jitter: float = 0.5
    """Probability of changing the colours of the networks' input."""
    brightness: float = 0.2
    """Maximum change of brightness, as a fraction."""
    contrast: float = 0.2
    """Maximum change of contrast, as a fraction."""
    saturation: float = 0.2
    """Maximum change of saturation, as a fraction."""
    hue: float = 0.1
    """Maximum change of hue, as a fraction of the colour circle."""
    move_centre: bool = True
    """Whether mirroring moves the principal point; the published program leaves it in place."""

    def __post_init__(self) -> None:
        check_ranges(self, {"a number from 0 to 1": ("flip", "jitter")})


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoConfig:
    """Options of ``rilievo train video``."""

    HELP_TITLE: ClassVar[str] = "Steps"
    FIELDS_BY_TITLE: ClassVar[FieldsByTitle] = {
        "Network": ("preset", "start", "prior", "labels"),
        "Speed": ("precision",),
    }

    format: Annotated[str, HIDDEN] = VIDEO_FORMAT
    """Format of the run's folder."""
    data: Annotated[VideoData, option(inline=True)]
    preset: Annotated[
        str,
        option(
            in_short_help=True,
            metavar="clip|default|faithful",
            default="clip, unless an option asks for more",
        ),
    ] = "default"
    """Preset for all numbers that you do not set: clip refines an embedded model in minutes,
    default trains all networks, and faithful trains as the authors of Monodepth2 did.
    """
    blueprint: Annotated[VideoBlueprint, option(inline=True)] = field(
        default_factory=VideoBlueprint
    )
    start: Annotated[str | None, IN_SHORT_HELP] = None
    """Weights to start from: rilievo/small (the default for the encoder small), the folder of a run
    or of an official checkpoint, imagenet for the encoders (the default if they have such weights),
    or scratch for random weights.
    """
    prior: Annotated[str | None, option(in_short_help=True, metavar="MODEL")] = None
    """Model whose depth gives the initial motion by geometry, and to which --losses.anchor keeps
    the learned depth close. By default the weights that the run starts from.
    """
    labels: Annotated[str | None, option(in_short_help=True, metavar="FOLDER")] = None
    """Folder of labels from 'rilievo fuse CLIP --teach FOLDER', from which depth is also learned.
    """
    losses: VideoLosses = field(default_factory=VideoLosses)
    augmentation: Annotated[VideoAugmentation, HIDDEN] = field(default_factory=VideoAugmentation)
    offsets: tuple[int, ...] = (-1, 1)
    """Time offsets from a target to its sources, in strides."""
    minutes: Annotated[float | None, IN_SHORT_HELP] = None
    """Time for the whole run in minutes, instead of epochs. The number of steps follows from the
    speed of the first ones. 10 with preset clip.
    """
    epochs: Annotated[int, IN_SHORT_HELP] = 20
    """Number of passes through the targets. Ignored if you give --steps or --minutes."""
    steps: Annotated[int | None, IN_SHORT_HELP] = None
    """Number of steps, instead of epochs. Ignored if you give --minutes."""
    validations: Annotated[int | None, HIDDEN] = None
    """Number of validations, evenly spread over the run; by default one after every epoch, and 6
    with preset clip.
    """
    patience: Annotated[int | None, HIDDEN] = None
    """Number of validations without a smaller error after which the run ends; 4 with preset clip.
    """
    start_share: Annotated[float, HIDDEN] = 0.0
    """Share of the start weights in the weights that the run keeps (Wortsman et al., CVPR 2022);
    0.4 with preset clip.
    """
    keep_best: Annotated[bool, HIDDEN] = False
    """Keep the weights with the smallest error on the held-out targets, as preset clip does,
    instead of the last ones.
    """
    pose_warm_up: Annotated[int, HIDDEN] = 0
    """Number of steps before the run in which only the pose network is trained, on motions by
    geometry.
    """
    batch_size: Annotated[int, IN_SHORT_HELP] = 12
    """Number of targets per forward pass on each device; 4 with preset clip."""
    accumulate: Annotated[int, HIDDEN] = 1
    """Number of batches whose gradients are added up for each step."""
    learning_rate: Annotated[float, IN_SHORT_HELP] = 1e-4
    """Peak learning rate; 5e-5 with preset clip."""
    milestones: Annotated[tuple[int, ...], option(metavar="EPOCH,...")] = (15,)
    """Epochs after which the learning rate falls to a tenth; without any, as with preset clip, it
    falls along half a cosine."""
    warm_up: Annotated[int, HIDDEN] = 0
    """Number of steps over which the learning rate rises from zero; 200 with preset default, 20
    with clip.
    """
    camera_rate: Annotated[float, HIDDEN] = 1e-3
    """Learning rate of the logarithms of the focal lengths, if they are refined."""
    clip_norm: Annotated[float | None, HIDDEN] = None
    """Maximum norm of a step's gradient; 10 with presets default and clip."""
    seed: Annotated[int, IN_SHORT_HELP] = 0
    """Seed for the initial weights, the order of the targets and augmentation."""
    precision: Annotated[str, option(metavar="|".join(PRECISIONS))] = "fp32"
    """Precision of the networks; fp16 needs a GPU."""
    checkpoint_steps: Annotated[int, HIDDEN] = 500
    """Number of steps between checkpoints."""

    def __post_init__(self) -> None:
        check_ranges(
            self,
            {
                "1 or more": (
                    *("epochs", "steps", "validations", "patience"),
                    *("batch_size", "accumulate", "checkpoint_steps"),
                ),
                "0 or more": ("camera_rate", "warm_up", "pose_warm_up"),
                "above 0": ("minutes", "learning_rate", "clip_norm"),
            },
        )
        check_ranges(self.data, {"above 0": ("parallax",)})
        _check_steps(self)
        _check_sources(self)
        _check_motion(self)
        _check_losses(self)

    @property
    def is_by_geometry(self) -> bool:
        """Whether motion comes from tracked points and depth, not from a pose network."""
        return self.blueprint.pose is PoseKind.GEOMETRY

    @property
    def knows_motion(self) -> bool:
        """Whether recorded poses or the baseline of a stereo pair give all motion."""
        return self.data.follow_poses or not self.data.temporal

    @property
    def starts_without_depth(self) -> bool:
        """Whether the weights to start from do not predict depth yet."""
        return self.start in (None, IMAGENET_START)


def _check_steps(config: VideoConfig) -> None:
    """Check the options of steps, and the mean with the start."""
    if not 0 <= config.start_share < 1:
        raise OptionError(
            f"start_share must be at least 0 and less than 1, got {config.start_share}"
        )
    if config.precision not in PRECISIONS:
        raise OptionError(
            option="precision", expected=", ".join(PRECISIONS), value=config.precision
        )
    milestones = list(config.milestones)
    is_rising = milestones == sorted(set(milestones))
    if not is_rising or any(epoch < 1 for epoch in milestones):
        raise OptionError(
            problem=Text(
                OptionName("milestones"),
                " must be epochs of 1 or more, in ascending order without repetition, got "
                f"{config.milestones}",
            )
        )


def _check_sources(config: VideoConfig) -> None:
    """Check that each target has sources, and each of them once."""
    if 0 in config.offsets or len(set(config.offsets)) < len(config.offsets):
        raise OptionError(
            problem=Text(
                OptionName("offsets"),
                f" must differ from each other and from 0, got {config.offsets}",
            )
        )
    if config.data.temporal and not config.offsets:
        raise OptionError(
            problem=Text(
                OptionName("offsets"), " must name at least one neighbouring frame, such as -1,1"
            )
        )
    if not config.data.temporal and not config.data.stereo:
        raise OptionError(
            problem=Text(
                "a target has no source frame whose motion is known: give the motion of the camera "
                "with ",
                OptionName("poses", "..."),
                ", or use the other camera of a stereo pair with ",
                OptionName("stereo"),
            )
        )


def _check_motion(config: VideoConfig) -> None:
    """Check that motion comes from one place, which has what it needs."""
    if config.blueprint.pose is PoseKind.NONE and not config.knows_motion:
        raise OptionError(
            problem=Text(
                "the motion between neighbouring frames is unknown: give ",
                OptionName("poses", "..."),
                ", or choose another source of the motion with ",
                OptionName("pose"),
                f" ({', '.join(kind for kind in PoseKind if kind != PoseKind.NONE)})",
            )
        )
    if config.is_by_geometry and (config.knows_motion or config.data.stereo):
        raise OptionError(
            problem=Text(
                "motion by geometry is up to scale and cannot be combined with known motion: leave "
                "out follow_poses and ",
                OptionName("stereo"),
                ", or use ",
                OptionName("pose", "none"),
            )
        )
    if config.is_by_geometry and config.data.learn_camera:
        raise OptionError(
            problem=Text(
                "motion by geometry needs fixed focal lengths: leave out ",
                OptionName("learn_camera"),
            )
        )
    needs_depth = config.is_by_geometry or config.pose_warm_up > 0
    if needs_depth and config.prior is None and config.starts_without_depth:
        raise OptionError(
            "motion by geometry needs initial depth: start from rilievo/small (encoder small) or "
            "from a run, or choose a model as prior"
        )
    learns_motion = not config.knows_motion and config.blueprint.pose in POSE_NETWORKS
    if config.pose_warm_up > 0 and not learns_motion:
        raise OptionError(
            problem=Text(
                "pose_warm_up trains a pose network, but this run has none: choose one with ",
                OptionName("pose"),
            )
        )


def _check_losses(config: VideoConfig) -> None:
    """Check that networks and motion provide what the losses need."""
    if config.losses.replay > 0 and config.starts_without_depth:
        raise OptionError(
            problem=Text(
                OptionName("losses.replay"),
                " preserves the start model's predictions on other scenes, but this run has no "
                "start model: start from rilievo/small or from a run",
            )
        )
    if config.start_share > 0 and not config.is_by_geometry:
        raise OptionError(
            problem=Text(
                "start_share needs motion by geometry: use ", OptionName("pose", "geometry")
            )
        )
    losses = config.losses
    weights = {"anchor": losses.anchor, "corners": losses.corners, "replay": losses.replay}
    for name, weight in weights.items():
        if weight and not config.is_by_geometry:
            raise OptionError(
                problem=Text(
                    OptionName(f"losses.{name}"),
                    " needs motion by geometry: use ",
                    OptionName("pose", "geometry"),
                )
            )
    if config.losses.predictive_mask != config.blueprint.mask:
        raise OptionError(
            problem=Text(
                OptionName("losses.predictive_mask"),
                " and blueprint.mask must have the same value, because the network's mask head "
                "predicts the mask",
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRunOptions(TrustOptions):
    """Options of a run that do not change its result on the same machine."""

    HELP_TITLE: ClassVar[str] = "Speed"
    FIELDS_BY_TITLE: ClassVar[FieldsByTitle] = {
        "Output": ("tensorboard", "resume"),
    }

    device: Annotated[str, IN_SHORT_HELP] = "auto"
    """Device to run on: auto, cpu, cuda or cuda:N."""
    workers: Annotated[int, IN_SHORT_HELP] = 0
    """Number of threads that prefetch frames; 0 reads frames in the training thread."""
    cache: Annotated[str | None, option(metavar="FOLDER")] = None
    """Folder for decoded frames; by default inside the folder of the run."""
    tensorboard: bool = False
    """Write TensorBoard events in addition to the CSV."""
    resume: Annotated[bool, IN_SHORT_HELP] = False
    """Resume the run in the folder."""
    stop_at: Annotated[int | None, HIDDEN] = None
    """Step at which to stop with a checkpoint, as if the run were interrupted."""

    def __post_init__(self) -> None:
        check_ranges(self, {"0 or more": ("workers",)})
