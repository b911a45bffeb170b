"""Configuration of a training run on video."""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

from rilievo.data.clips.footage import VideoData
from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.models.load_options import TrustOptions
from rilievo.schema.fields import Groups, option
from rilievo.training.adapters.run_models import VIDEO_FORMAT
from rilievo.training.engine.config_fields import check_ranges
from rilievo.training.losses.video_options import VideoLosses
from rilievo.training.networks.blueprint import (
    FIRST,
    HIDDEN,
    POSE_NETWORKS,
    PoseKind,
    VideoBlueprint,
)

PRECISIONS = ("fp32", "bf16", "fp16")


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoAugmentation:
    """Random changes of samples, which are the same for all frames of a sample."""

    flip: float = 0.5
    """Probability that a sample is mirrored."""
    jitter: float = 0.5
    """Probability that the colours that the networks see are changed."""
    brightness: float = 0.2
    """Largest change of brightness, as a share."""
    contrast: float = 0.2
    """Largest change of contrast, as a share."""
    saturation: float = 0.2
    """Largest change of saturation, as a share."""
    hue: float = 0.1
    """Largest change of hue, as a share of the colour circle."""
    move_centre: bool = True
    """Whether a flip moves the principal point; the published program leaves it."""

    def __post_init__(self) -> None:
        check_ranges(self, {"a share of 0 to 1": ("flip", "jitter")})


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoConfig:
    """Options of ``rilievo train video``."""

    GROUP: ClassVar[str] = "Steps"
    GROUPS: ClassVar[Groups] = {
        "Network": ("preset", "start", "prior", "labels"),
        "Speed": ("precision",),
    }

    format: Annotated[str, HIDDEN] = VIDEO_FORMAT
    """Format of the run's folder."""
    data: Annotated[VideoData, option(name="")]
    preset: Annotated[
        str,
        option(
            in_short_help=True,
            metavar="clip|default|faithful",
            default="clip, unless an option asks for more",
        ),
    ] = "default"
    """Preset that gives the numbers which are not given: clip refines an embedded model in minutes;
    default trains all networks; faithful trains as the authors of Monodepth2 did."""
    blueprint: Annotated[VideoBlueprint, option(name="")] = field(default_factory=VideoBlueprint)
    start: Annotated[str | None, FIRST] = None
    """Weights to start from: rilievo/small (the default for the encoder small), the folder of a run
    or of an official checkpoint, imagenet for the encoders (the default for those that have it), or
    scratch for random weights."""
    prior: Annotated[str | None, option(in_short_help=True, metavar="MODEL")] = None
    """Model whose depth gives the first motion by geometry and is kept near by --losses.anchor; by
    default the weights that the run starts from."""
    labels: Annotated[str | None, option(in_short_help=True, metavar="FOLDER")] = None
    """Folder of labels of 'rilievo fuse CLIP --teach FOLDER', which depth learns too."""
    losses: VideoLosses = field(default_factory=VideoLosses)
    augmentation: Annotated[VideoAugmentation, HIDDEN] = field(default_factory=VideoAugmentation)
    offsets: tuple[int, ...] = (-1, 1)
    """Offsets of the sources from their target in time, in strides."""
    minutes: Annotated[float | None, FIRST] = None
    """Time for the whole run, in place of epochs: steps follow from the pace of the first ones; 10
    with preset clip."""
    epochs: Annotated[int, FIRST] = 20
    """Passes through the targets."""
    steps: Annotated[int | None, FIRST] = None
    """Number of steps, in place of epochs."""
    validations: Annotated[int | None, HIDDEN] = None
    """Number of validations, evenly over the run; by default one after every epoch, and 6 with
    preset clip."""
    patience: Annotated[int | None, HIDDEN] = None
    """Validations without a smaller error after which the run ends; 4 with preset clip."""
    start_share: Annotated[float, HIDDEN] = 0.0
    """Share of the start in the weights that are kept (Wortsman et al., CVPR 2022); 0.4 with preset
    clip."""
    keep_best: Annotated[bool, HIDDEN] = False
    """Keep the weights with the least error on the held-out targets, as with preset clip; otherwise
    the last."""
    pose_warm_up: Annotated[int, HIDDEN] = 0
    """Steps before those of the run, in which the pose network alone learns motions by geometry."""
    batch_size: Annotated[int, FIRST] = 12
    """Targets per forward pass on each device; 4 with preset clip."""
    accumulate: Annotated[int, HIDDEN] = 1
    """Batches whose gradients are added before a step."""
    learning_rate: Annotated[float, FIRST] = 1e-4
    """Peak learning rate; 5e-5 with preset clip."""
    milestones: Annotated[tuple[int, ...], option(metavar="EPOCH,...")] = (15,)
    """Epochs after which the learning rate falls to a tenth; without any, as with preset clip, it
    falls along half a cosine."""
    warm_up: Annotated[int, HIDDEN] = 0
    """Steps over which the learning rate rises from zero; 200 with preset default, 20 with clip."""
    camera_rate: Annotated[float, HIDDEN] = 1e-3
    """Learning rate of the focal lengths' logarithms, where they are refined."""
    clip_norm: Annotated[float | None, HIDDEN] = None
    """Largest norm of a step's gradient; 10 with presets default and clip."""
    seed: Annotated[int, FIRST] = 0
    """Seed of the first weights, of the order of the targets and of augmentation."""
    precision: Annotated[str, option(metavar="|".join(PRECISIONS))] = "fp32"
    """Precision of the networks; fp16 on a GPU alone."""
    checkpoint_steps: Annotated[int, HIDDEN] = 500
    """Steps between checkpoints."""

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
        return self.start in (None, "imagenet")


def _check_steps(config: VideoConfig) -> None:
    if not 0 <= config.start_share < 1:
        raise OptionError(f"start_share is 0 to 1, less than 1, got {config.start_share}")
    if config.precision not in PRECISIONS:
        raise OptionError(
            option="precision", expected=", ".join(PRECISIONS), value=config.precision
        )
    is_ordered = list(config.milestones) == sorted(set(config.milestones))
    if not is_ordered or min((1, *config.milestones)) < 1:
        raise OptionError(
            problem=Text(OptionName("milestones"), f" are epochs in order, got {config.milestones}")
        )


def _check_sources(config: VideoConfig) -> None:
    if 0 in config.offsets or len(set(config.offsets)) < len(config.offsets):
        raise OptionError(
            problem=Text(
                OptionName("offsets"), f" are neighbours, once each and without 0: {config.offsets}"
            )
        )
    if config.data.temporal and not config.offsets:
        raise OptionError("neighbours in time need offsets, such as -1,1")
    if not config.data.temporal and not config.data.stereo:
        raise OptionError(
            "without neighbours in time the other camera of the pair is the only source: give "
            "poses, or set stereo"
        )


def _check_motion(config: VideoConfig) -> None:
    if config.blueprint.pose is PoseKind.NONE and not config.knows_motion:
        raise OptionError(
            "the motion between neighbours is not known: follow poses, or choose where it "
            f"comes from ({', '.join(kind for kind in PoseKind if kind != PoseKind.NONE)})"
        )
    if config.is_by_geometry and (config.knows_motion or config.data.stereo):
        raise OptionError(
            "motion by geometry is up to scale and needs no other: leave follow_poses and "
            "stereo away, or set pose to none"
        )
    if config.is_by_geometry and config.data.learn_camera:
        raise OptionError(
            problem=Text(
                "motion by geometry needs fixed focal lengths: leave ", OptionName("learn_camera")
            )
        )
    needs_depth = config.is_by_geometry or config.pose_warm_up > 0
    if needs_depth and config.prior is None and config.starts_without_depth:
        raise OptionError(
            "motion by geometry needs depth to begin with: start from rilievo/small (encoder "
            "small) or from a run, or give the prior of a model"
        )
    learns_motion = not config.knows_motion and config.blueprint.pose in POSE_NETWORKS
    if config.pose_warm_up > 0 and not learns_motion:
        raise OptionError("pose_warm_up teaches a pose network: choose one (pose)")


def _check_losses(config: VideoConfig) -> None:
    if config.losses.replay > 0 and config.starts_without_depth:
        raise OptionError(
            problem=Text(
                OptionName("losses.replay"),
                " keeps what the start knows of other places: start from "
                "rilievo/small or from a run",
            )
        )
    if config.start_share > 0 and not config.is_by_geometry:
        raise OptionError("start_share goes with motion by geometry: set pose to it")
    for name in ("anchor", "corners", "replay"):
        if getattr(config.losses, name) and not config.is_by_geometry:
            raise OptionError(
                problem=Text(
                    OptionName(f"losses.{name}"), " goes with motion by geometry: set pose to it"
                )
            )
    if config.losses.predictive_mask != config.blueprint.mask:
        raise OptionError(
            problem=Text(
                OptionName("losses.predictive_mask"),
                " and the head of the network for it go together: set blueprint.mask to the same",
            )
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoRunOptions(TrustOptions):
    """Options of a run that do not change its result on the same machine."""

    GROUP: ClassVar[str] = "Speed"
    GROUPS: ClassVar[Groups] = {
        "Output": ("tensorboard", "resume"),
    }

    device: Annotated[str, FIRST] = "auto"
    """Device: auto, cpu, cuda or cuda:N."""
    workers: Annotated[int, FIRST] = 0
    """Threads that prefetch frames; 0 reads frames in the training thread."""
    cache: Annotated[str | None, option(metavar="FOLDER")] = None
    """Folder of decoded frames; by default in the run's folder."""
    tensorboard: bool = False
    """Write events for TensorBoard beside the CSV."""
    resume: Annotated[bool, FIRST] = False
    """Resume the run in the folder."""
    stop_at: Annotated[int | None, HIDDEN] = None
    """Step to stop after, with a checkpoint, as if killed then."""

    def __post_init__(self) -> None:
        check_ranges(self, {"0 or more": ("workers",)})
