"""Configuration of a training run on video."""

from dataclasses import field
from typing import Annotated, ClassVar

from rilievo.data.clips.footage import VideoData
from rilievo.errors import OptionError
from rilievo.frozen import frozen
from rilievo.models.model_options import TrustOptions
from rilievo.options.schema import Groups, option
from rilievo.training.adapters.run_models import VIDEO_FORMAT
from rilievo.training.engine.differences import check_ranges
from rilievo.training.losses.video_options import VideoLosses
from rilievo.training.networks.blueprint import FIRST, HIDDEN, PoseKind, VideoBlueprint

PRECISIONS = ("fp32", "bf16", "fp16")


@frozen
class VideoAugmentation:
    """Augmentation, drawn once per sample and the same for all its frames."""

    flip: float = 0.5
    """Probability that a sample is mirrored."""
    jitter: float = 0.5
    """Probability that the colours that the networks see are changed."""
    brightness: float = 0.2
    """Largest change of the brightness, as a share."""
    contrast: float = 0.2
    """Largest change of the contrast, as a share."""
    saturation: float = 0.2
    """Largest change of the saturation, as a share."""
    hue: float = 0.1
    """Largest change of the hue, as a share of the colour circle."""
    move_centre: bool = True
    """Whether a flip moves the principal point; the published program leaves it."""

    def __post_init__(self) -> None:
        check_ranges(self, {"a share of 0 to 1": ("flip", "jitter")})


@frozen
class VideoConfig:
    """Configuration of a run: the options of ``rilievo train video``."""

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
            first=True,
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
    prior: Annotated[str | None, option(first=True, metavar="MODEL")] = None
    """Model whose depth gives the first motion by geometry and is kept near by --losses.anchor; by
    default the weights that the run starts from."""
    labels: Annotated[str | None, option(first=True, metavar="FOLDER")] = None
    """Folder of labels of 'rilievo fuse CLIP --teach FOLDER', which depth learns too."""
    losses: VideoLosses = field(default_factory=VideoLosses)
    augmentation: Annotated[VideoAugmentation, HIDDEN] = field(default_factory=VideoAugmentation)
    offsets: tuple[int, ...] = (-1, 1)
    """Offsets of the sources from their target in time, in strides."""
    minutes: Annotated[float | None, FIRST] = None
    """Time for the whole run, in place of epochs: the number of steps follows from the pace of the
    first ones; 10 with preset clip."""
    epochs: Annotated[int, FIRST] = 20
    """Passes through the targets."""
    steps: Annotated[int | None, FIRST] = None
    """Number of steps, in place of epochs."""
    validations: Annotated[int | None, HIDDEN] = None
    """Number of validations, evenly over the run; by default one after every epoch, and 6 with
    preset clip."""
    patience: Annotated[int | None, HIDDEN] = None
    """Validations without a smaller error after which the run ends early; 4 with preset clip."""
    start_share: Annotated[float, HIDDEN] = 0.0
    """Share of the start in the weights that are validated and kept: learned weights are averaged
    with those of the start (Wortsman et al., CVPR 2022); 0.4 with preset clip."""
    keep_best: Annotated[bool, HIDDEN] = False
    """Keep the weights with the least error on the held-out targets, of which those of the start
    count too, as with preset clip; otherwise the last."""
    pose_warm_up: Annotated[int, HIDDEN] = 0
    """Steps before those of the run, in which the pose network alone learns the motions that
    geometry finds on the depth of the start or of the prior."""
    motion_again: Annotated[tuple[float, ...], HIDDEN] = ()
    """Shares of the steps after which motion by geometry is estimated again, with the depth learned
    so far; 0.5 with preset clip."""
    batch_size: Annotated[int, FIRST] = 12
    """Targets per forward pass on each device; 4 with preset clip."""
    accumulate: Annotated[int, HIDDEN] = 1
    """Batches whose gradients are added before a step."""
    learning_rate: Annotated[float, FIRST] = 1e-4
    """Peak learning rate; 5e-5 with preset clip."""
    milestones: Annotated[tuple[int, ...], option(metavar="EPOCH,...")] = (15,)
    """Epochs after which the learning rate falls to a tenth; without any, as with preset clip, it
    falls along half a cosine to nothing."""
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
        if not 0 <= self.start_share < 1:
            raise OptionError(f"start_share is 0 to 1, less than 1, got {self.start_share}")
        if not all(0 < share < 1 for share in self.motion_again):
            raise OptionError(f"motion_again is shares between 0 and 1, got {self.motion_again}")
        if self.precision not in PRECISIONS:
            raise OptionError(
                option="precision", expected=", ".join(PRECISIONS), value=self.precision
            )
        if list(self.milestones) != sorted(set(self.milestones)) or min((1, *self.milestones)) < 1:
            raise OptionError(problem=f"{{milestones}} are epochs in order, got {self.milestones}")
        self._check_sources()

    def _check_sources(self) -> None:
        """Check that sources go with one another and that their motion can be known."""
        if 0 in self.offsets or len(set(self.offsets)) < len(self.offsets):
            raise OptionError(
                problem=f"{{offsets}} are neighbours, once each and without 0: {self.offsets}"
            )
        if self.data.temporal and not self.offsets:
            raise OptionError("neighbours in time need offsets, such as -1,1")
        if not self.data.temporal and not self.data.stereo:
            raise OptionError(
                "without neighbours in time the other camera of the pair is the only source: give "
                "poses, or set stereo"
            )
        known = self.data.follow_poses or not self.data.temporal
        if self.blueprint.pose is PoseKind.NONE and not known:
            raise OptionError(
                "the motion between neighbours is not known: follow poses, or choose where it "
                f"comes from ({', '.join(each for each in PoseKind if each != PoseKind.NONE)})"
            )
        self._check_geometry(known=known)
        if self.losses.predictive_mask != self.blueprint.mask:
            raise OptionError(
                problem="{losses.predictive_mask} and the head of the network for it go together: "
                "set blueprint.mask to the same"
            )

    def _check_geometry(self, *, known: bool) -> None:
        """Check that motion by geometry has depth to begin with, and nothing else to obey."""
        geometry = self.blueprint.pose is PoseKind.GEOMETRY
        if geometry and (known or self.data.stereo):
            raise OptionError(
                "motion by geometry is up to scale and needs no other: leave follow_poses and "
                "stereo away, or set pose to none"
            )
        if geometry and self.data.learn_camera:
            raise OptionError(
                problem="motion by geometry needs fixed focal lengths: leave {learn_camera}"
            )
        needs_depth = geometry or self.pose_warm_up > 0
        if needs_depth and self.prior is None and self.start in (None, "imagenet"):
            raise OptionError(
                "motion by geometry needs depth to begin with: start from rilievo/small (encoder "
                "small) or from a run, or give the prior of a model"
            )
        if self.pose_warm_up and (known or not self.blueprint.pose.is_network):
            raise OptionError("pose_warm_up teaches a pose network: choose one (pose)")
        if self.losses.replay and self.start in (None, "imagenet"):
            raise OptionError(
                problem="{losses.replay} keeps what the start knows of other places: start from "
                "rilievo/small or from a run"
            )
        if self.start_share and not geometry:
            raise OptionError("start_share goes with motion by geometry: set pose to it")
        for name in ("anchor", "corners", "replay"):
            if getattr(self.losses, name) and not geometry:
                raise OptionError(
                    problem=f"{{losses.{name}}} goes with motion by geometry: set pose to it"
                )


@frozen
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
    """Step to stop after, with a checkpoint, as if killed then; None for the end."""

    def __post_init__(self) -> None:
        check_ranges(self, {"0 or more": ("workers",)})
