"""Presets of training on video, and the completion of partly given configurations.

- ``clip`` refines the embedded model on one clip in minutes; motion comes from geometry.
- ``default`` trains all networks, and corrects what is wrong with the published program.
- ``faithful`` trains as the authors of Monodepth2 did (Godard et al., ICCV 2019). Three details
  differ without changing a mean: the noise of the auto-mask is drawn once per step, changed colours
  are rounded once, and a rotation of zero has its true gradient.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from rilievo.data.clips.footage import SourceKind, VideoData
from rilievo.data.clips.sources import list_sequences
from rilievo.errors import InputError, OptionError, suggest
from rilievo.models.default.embedded import SMALL
from rilievo.models.resampling.preparation import network_size
from rilievo.records.depth_map import DepthKind
from rilievo.training.adapters.run_models import is_video_run, read_video_run
from rilievo.training.engine.config_fields import FieldDifference, find_differences, with_fields_of
from rilievo.training.losses.video_options import VideoLosses
from rilievo.training.networks.blueprint import (
    EMBEDDED_ENCODER,
    POSE_NETWORKS,
    PoseKind,
    VideoBlueprint,
)
from rilievo.training.video.video_config import VideoAugmentation, VideoConfig

PRESETS = ("default", "faithful", "clip")

EMBEDDED_START = SMALL
"""Name of the embedded model, the weights from which the encoder ``small`` starts."""
EMBEDDED_AREA = 64512
"""Pixels of the embedded model's input, such as 224 x 288."""
IMAGENET_START = "imagenet"
"""Word for the encoder's weights from ImageNet."""
SCRATCH_START = "scratch"
"""Word for random weights; a configuration has None for it."""

_SIZE_STEP = 32
"""Common divisor of a network's height and width [px]."""
_MIN_SIDE = 64
"""Least height and width of a network [px]."""
_PUBLISHED_SIZE = (192, 640)
"""Height and width of the published networks [px]."""
_ENCODERS_WITHOUT_IMAGENET = ("lite",)

_PUBLISHED_SCALES = (0, 1, 2, 3)
"""Numbers of halvings of the size at which the published networks predict depth."""
_PUBLISHED_ENCODER = "resnet18"
_BATCH_SIZE = 12
"""Targets per step, as in the published program."""
_CLIP_BATCH_SIZE = 4
"""Targets per step of the preset ``clip``: few, so that a run of minutes has many steps."""

_KITTI = (SourceKind.KITTI_RAW, SourceKind.KITTI_ODOMETRY)
_PUBLISHED_BASELINE = 0.1
"""Baseline of KITTI's stereo pair in the published program, in its unit of depth."""
_PUBLISHED_UNIT = 5.4
"""Metres per unit of depth that follow from it, as the cameras are 0.54 m apart."""

_POSE_WARM_UP_STEPS = 1000

REASONS: Mapping[str, str] = {
    "preset": "the name",
    "augmentation.move_centre": (
        "a mirrored frame keeps its principal point, as the published program has it, which "
        "supposes that it lies in the middle; 'default' moves it too"
    ),
    "data.published_camera": (
        "all of KITTI is given one K, 0.58 and 1.92 of width and height; 'default' takes each "
        "day's calibration"
    ),
    "data.baseline": "the eyes are 0.1 apart, so that a unit of depth is 5.4 m; else metres",
    "losses.in_front": (
        "a point behind a source's camera takes a colour from wherever the division lands; "
        "'default' gives it the largest error"
    ),
    "losses.pixel_centres": (
        "where scales=native, K of a coarser scale is the normalised K times its size, which "
        "moves centres of pixels by up to half of one; 'default' keeps them"
    ),
    "blueprint.cancels_scale": (
        "the mean inverse depth multiplies the translation of the pose network 'cnn', which "
        "squares depth's scale in the parallax; 'default' divides, which cancels it"
    ),
    "warm_up": (
        "the full learning rate from the first step on; 'default' climbs, so that a pose network "
        "fresh from chance does not push depth to one end of its range"
    ),
    "pose_warm_up": (
        "the pose network learns from its random weights on, together with depth; 'default' shows "
        "it motions by geometry first, where a start or a prior knows depth"
    ),
    "clip_norm": "no bound of the gradient; 'default' survives a single bad batch",
}
"""Reasons why ``faithful`` differs from ``default``, by field."""


def preset_config(config: VideoConfig) -> VideoConfig:
    """Give a configuration the numbers of its preset.

    Data, network, start, prior, labels, batch size and seed are kept, except for the few fields of
    data and network that are part of the preset. All other fields are replaced.

    Raises:
        OptionError: If there is no such preset.
    """
    if config.preset not in PRESETS:
        raise OptionError(f"no preset '{config.preset}'; {suggest(config.preset, PRESETS)}")

    base = VideoConfig(
        blueprint=replace(config.blueprint, mask=False, cancels_scale=False),
        data=config.data,
        preset=config.preset,
        start=config.start,
        prior=config.prior,
        labels=config.labels,
        batch_size=config.batch_size,
        seed=config.seed,
    )
    if config.preset == "clip":
        return _clip_preset(base)
    if config.preset == "faithful":
        return _faithful_preset(base)
    return _default_preset(base)


def _default_preset(base: VideoConfig) -> VideoConfig:
    return replace(
        base,
        blueprint=replace(base.blueprint, cancels_scale=True),
        warm_up=200,
        clip_norm=10.0,
        pose_warm_up=_POSE_WARM_UP_STEPS if _can_warm_up_pose(base) else 0,
    )


def _can_warm_up_pose(config: VideoConfig) -> bool:
    """Whether a pose network can learn motion by geometry before the run, from known depth."""
    data = config.data
    if config.blueprint.pose not in POSE_NETWORKS or not data.temporal:
        return False
    if data.follow_poses or data.stereo or data.learn_camera:
        return False
    return config.prior is not None or config.start == EMBEDDED_START


def _faithful_preset(base: VideoConfig) -> VideoConfig:
    data = _with_published_camera(base.data)

    # A camera or baseline that the user gives is kept, and with it the unit of depth.
    has_published_baseline = data.baseline != base.data.baseline
    unit = _PUBLISHED_UNIT if has_published_baseline else base.blueprint.unit

    return replace(
        base,
        blueprint=replace(base.blueprint, unit=unit),
        data=data,
        losses=VideoLosses(in_front=False, pixel_centres=False),
        augmentation=VideoAugmentation(move_centre=False),
    )


def _with_published_camera(data: VideoData) -> VideoData:
    """Data of KITTI with the camera of the published program, unless the user gives another."""
    has_camera = data.camera is not None or data.camera_file is not None or data.fov is not None
    if has_camera or data.kind not in _KITTI:
        return data

    needs_baseline = data.stereo and data.baseline is None
    baseline = _PUBLISHED_BASELINE if needs_baseline else data.baseline
    return replace(data, published_camera=True, baseline=baseline)


def _without_published_camera(data: VideoData) -> VideoData:
    return replace(data, published_camera=False, baseline=None)


def _clip_preset(base: VideoConfig) -> VideoConfig:
    # Replay shows single pictures, which would spoil the statistics that the norms of other
    # encoders measure.
    can_replay = base.blueprint.encoder == EMBEDDED_ENCODER and not base.starts_without_depth
    return replace(
        base,
        # Without corners, plain roads and walls would be pulled to the scale of the motion first.
        losses=VideoLosses(anchor=0.1, corners=0.5, replay=1.0 if can_replay else 0.0),
        learning_rate=5e-5,
        start_share=0.4,
        milestones=(),
        warm_up=20,
        clip_norm=10.0,
        minutes=10.0,
        validations=6,
        patience=4,
        keep_best=True,
    )


def preset_differences(config: VideoConfig) -> tuple[FieldDifference, ...]:
    """List the fields that differ from the preset ``default``, or ``clip`` if that was chosen.

    Settings of the network are listed only if they are part of a preset.
    """
    reference = replace(
        config,
        preset="clip" if config.preset == "clip" else "default",
        data=_without_published_camera(config.data),
    )
    differences = find_differences(
        config,
        default_preset=preset_config(reference),
        chosen_preset=preset_config(config),
        reasons=REASONS,
    )
    return tuple(
        difference
        for difference in differences
        if difference.field in REASONS or not difference.field.startswith("blueprint.")
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class UncheckedVideoConfig(VideoConfig):
    """Configuration of which some fields are missing, so that it cannot be checked yet."""

    def __post_init__(self) -> None:
        """Check nothing."""


def complete_config(request: VideoConfig, fields: Collection[str]) -> VideoConfig:
    """Fill in the fields of a configuration that were not given.

    The preset is ``clip``, unless another is given or a given field needs ``default``. It gives all
    numbers, some of which depend on the data, the networks, the start and the prior. So these come
    first, then the numbers of the preset, and then the given fields again.

    Args:
        request: Configuration in which only the given fields have a meaning.
        fields: Paths of the given fields, such as ``losses.ssim``.

    Raises:
        OptionError: If fields do not go together.
    """
    if "blueprint.pose" in fields and request.blueprint.pose is PoseKind.NONE:
        request = _with_motion_of_poses(request)
        fields = {*fields, "data.follow_poses", "data.temporal"}

    # None means that no start was given; for random weights it is ``SCRATCH_START``.
    chosen_start = request.start if "start" in fields else None
    preset = request.preset if "preset" in fields else _choose_preset(request, fields, chosen_start)
    is_clip = preset == "clip"

    data = with_fields_of(_default_data(request, is_clip=is_clip), request.data, fields, "data.")
    blueprint = _complete_blueprint(request, fields, chosen_start, data, is_clip=is_clip)
    base = VideoConfig(
        blueprint=blueprint,
        data=data,
        preset=preset,
        start=_resolve_start(chosen_start, blueprint.encoder),
        prior=request.prior,
        batch_size=_CLIP_BATCH_SIZE if is_clip else _BATCH_SIZE,
    )
    return _with_given_fields(preset_config(base), request, fields)


def _with_motion_of_poses(request: VideoConfig) -> VideoConfig:
    """Take motion from the recorded poses; without poses, the stereo pair alone gives it."""
    has_poses = request.data.poses is not None
    data = replace(request.data, follow_poses=has_poses, temporal=has_poses)
    return replace(request, data=data)


def _choose_preset(request: VideoConfig, fields: Collection[str], chosen_start: str | None) -> str:
    """``clip`` if the run can refine the embedded model by geometry, else ``default``."""
    if chosen_start is not None and not starts_from_embedded_model(chosen_start):
        return "default"

    pose = request.blueprint.pose if "blueprint.pose" in fields else PoseKind.GEOMETRY
    encoder = request.blueprint.encoder if "blueprint.encoder" in fields else EMBEDDED_ENCODER
    suits_clip = (
        pose is PoseKind.GEOMETRY
        and encoder == EMBEDDED_ENCODER
        and not _is_in_metres(request)
        and not request.data.learn_camera
    )
    return "clip" if suits_clip else "default"


def _is_in_metres(request: VideoConfig) -> bool:
    return request.data.follow_poses or request.data.stereo


def starts_from_embedded_model(chosen_start: str | None) -> bool:
    """Whether a run starts from the weights of the embedded model, or of a run that refined it."""
    if chosen_start is None:
        return False
    if chosen_start == EMBEDDED_START:
        return True
    if not is_video_run(Path(chosen_start)):
        return False
    return read_video_run(Path(chosen_start)).blueprint.encoder == EMBEDDED_ENCODER


def _default_data(request: VideoConfig, *, is_clip: bool) -> VideoData:
    return VideoData(
        roots=request.data.roots,
        parallax=5.0 if is_clip else 2.0,
        held_out=0.1 if is_clip else 0.05,
        held_out_stretches=2 if is_clip else 1,
    )


def _complete_blueprint(
    request: VideoConfig,
    fields: Collection[str],
    chosen_start: str | None,
    data: VideoData,
    *,
    is_clip: bool,
) -> VideoBlueprint:
    """Fill in the fields of the networks that were not given.

    The embedded model's encoder differs from the published networks: it predicts depth at one scale
    alone, and sees photographs of any shape, at a fixed number of pixels (``area``).
    """
    encoder = _choose_encoder(request, fields, chosen_start, is_clip=is_clip)
    has_embedded_encoder = encoder == EMBEDDED_ENCODER

    size, area = _PUBLISHED_SIZE, None
    if is_clip and "blueprint.size" not in fields:
        area = _input_area(chosen_start)
        size = network_size_for_footage(data, area)

    defaults = VideoBlueprint(
        encoder=encoder,
        pose=PoseKind.GEOMETRY if is_clip else PoseKind.SEPARATE,
        pose_encoder=encoder if encoder.startswith("resnet") else _PUBLISHED_ENCODER,
        size=size,
        area=area if has_embedded_encoder else None,
        scales=(0,) if has_embedded_encoder else _PUBLISHED_SCALES,
        kind=DepthKind.METRIC if _is_in_metres(request) else DepthKind.UP_TO_SCALE,
    )
    return with_fields_of(defaults, request.blueprint, fields, "blueprint.")


def _choose_encoder(
    request: VideoConfig, fields: Collection[str], chosen_start: str | None, *, is_clip: bool
) -> str:
    if "blueprint.encoder" in fields:
        return request.blueprint.encoder
    if is_clip or starts_from_embedded_model(chosen_start):
        return EMBEDDED_ENCODER
    return _PUBLISHED_ENCODER


def _input_area(chosen_start: str | None) -> int:
    """Pixels of the input of the run to start from, or of the embedded model."""
    if chosen_start is None or not is_video_run(Path(chosen_start)):
        return EMBEDDED_AREA
    blueprint = read_video_run(Path(chosen_start)).blueprint
    height, width = blueprint.size
    return blueprint.area or height * width


def network_size_for_footage(data: VideoData, area: int) -> tuple[int, int]:
    """Size (height, width) of a network of about ``area`` pixels, in the shape of the footage.

    The shape is that of the first sequence; footage that cannot be used counts as 4:3.
    """
    try:
        shape = list_sequences(data)[0].shape
    except InputError:
        shape = (3, 4)
    height, width = network_size(shape, area=area, multiple=_SIZE_STEP)
    return max(_MIN_SIDE, height), max(_MIN_SIDE, width)


def _resolve_start(chosen_start: str | None, encoder: str) -> str | None:
    """Weights to start from: the chosen ones, or the default of the encoder; None for random."""
    if chosen_start == SCRATCH_START:
        return None
    if chosen_start is not None:
        return chosen_start
    if encoder == EMBEDDED_ENCODER:
        return EMBEDDED_START
    return None if encoder in _ENCODERS_WITHOUT_IMAGENET else IMAGENET_START


def _with_given_fields(
    config: VideoConfig, request: VideoConfig, fields: Collection[str]
) -> VideoConfig:
    """Replace numbers of the preset by given ones; ``start`` is already resolved."""
    has_length = "epochs" in fields or "steps" in fields
    if has_length and "minutes" not in fields:
        config = replace(config, minutes=None)

    # The network predicts a mask if, and only if, the loss learns it.
    blueprint = replace(request.blueprint, mask=request.losses.predictive_mask)
    request = replace(request, blueprint=blueprint)
    return with_fields_of(config, request, {*fields, "blueprint.mask"} - {"start"})
