"""Presets of training on video, and fields that were not given.

``faithful`` trains as the authors of Monodepth2 (Godard et al. 2019) did, but for three details
that change no mean: noise of the auto-mask is drawn once per step, changed colours are rounded
once, and a rotation of zero has its true gradient. ``default`` corrects what is wrong with it.
``clip`` refines an embedded model in minutes, with motion by geometry.
"""

from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path

from rilievo.data.clips.footage import SourceKind, VideoData
from rilievo.data.clips.sources import list_sequences
from rilievo.depth_map import DepthKind
from rilievo.errors import InputError, OptionError, suggest
from rilievo.frozen import frozen
from rilievo.models.default.embedded import SMALL
from rilievo.models.resampling.preparation import network_size
from rilievo.training.adapters.run_models import is_video_run, read_video_run
from rilievo.training.engine.config_fields import FieldDifference, find_differences, with_fields_of
from rilievo.training.losses.video_options import VideoLosses
from rilievo.training.networks.blueprint import EMBEDDED, POSE_NETWORKS, PoseKind, VideoBlueprint
from rilievo.training.video.video_config import VideoAugmentation, VideoConfig

EMBEDDED_START, EMBEDDED_AREA = SMALL, 64512
"""Embedded model to start from, and the pixels that it sees of a frame."""
PRESETS = ("default", "faithful", "clip")

_KITTI = (SourceKind.KITTI_RAW, SourceKind.KITTI_ODOMETRY)
_BASELINE, _UNIT = 0.1, 5.4
"""Baseline of KITTI's pair in the published program, and the metres per unit of depth."""

_POSE_STEPS = 1000

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
"""Reasons why ``faithful`` differs from ``default``."""


def preset_config(config: VideoConfig) -> VideoConfig:
    """Configuration with the numbers of its preset.

    Blueprint, data, start, seed and batch size stay, except for a few fields.
    """
    if config.preset not in PRESETS:
        raise OptionError(f"no preset '{config.preset}'; {suggest(config.preset, PRESETS)}")
    plain = VideoConfig(
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
        return _clip_preset(plain)
    if config.preset == "default":
        blueprint = replace(plain.blueprint, cancels_scale=True)
        taught = _POSE_STEPS if _can_warm_up_pose(config) else 0
        return replace(plain, blueprint=blueprint, warm_up=200, clip_norm=10.0, pose_warm_up=taught)
    data = _with_published_camera(config.data)
    # A camera or baseline that the user gives is kept, and with it the unit of depth.
    shortened = data.baseline != config.data.baseline
    return replace(
        plain,
        blueprint=replace(plain.blueprint, unit=_UNIT if shortened else plain.blueprint.unit),
        data=data,
        losses=VideoLosses(in_front=False, pixel_centres=False),
        augmentation=VideoAugmentation(move_centre=False),
    )


def _can_warm_up_pose(config: VideoConfig) -> bool:
    data = config.data
    learned = config.blueprint.pose in POSE_NETWORKS and data.temporal
    return (
        learned
        and not (data.follow_poses or data.stereo or data.learn_camera)
        and (config.prior is not None or config.start == EMBEDDED_START)
    )


def _clip_preset(plain: VideoConfig) -> VideoConfig:
    """Numbers of ``clip``.

    Without corners, plain roads and walls are pulled to the scale of the motion first.
    """
    # Other networks measure the statistics of their norms, which single pictures would spoil.
    knows = plain.blueprint.encoder == EMBEDDED and plain.start not in (None, "imagenet")
    return replace(
        plain,
        losses=VideoLosses(anchor=0.1, corners=0.5, replay=1.0 if knows else 0.0),
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


def _with_published_camera(data: VideoData) -> VideoData:
    has_camera = data.camera is not None or data.camera_file is not None or data.fov is not None
    if data.kind not in _KITTI or has_camera:
        return data
    baseline = _BASELINE if data.stereo and data.baseline is None else data.baseline
    return replace(data, published_camera=True, baseline=baseline)


def preset_differences(config: VideoConfig) -> tuple[FieldDifference, ...]:
    """List what differs from ``default``, or ``clip``."""
    usual = "clip" if config.preset == "clip" else "default"
    all_differences = find_differences(
        config,
        default_preset=preset_config(
            replace(config, preset=usual, data=_without_published_camera(config.data))
        ),
        chosen_preset=preset_config(config),
        reasons=REASONS,
    )
    return tuple(
        difference
        for difference in all_differences
        if difference.field in REASONS or not difference.field.startswith("blueprint.")
    )


def _without_published_camera(data: VideoData) -> VideoData:
    return replace(data, published_camera=False, baseline=None)


_WITHOUT_IMAGENET = ("lite",)
_SCRATCH = "scratch"
_MULTIPLE, _LEAST = 32, 64


@frozen
class UncheckedVideoConfig(VideoConfig):
    """Fields as they are given, which are checked once the others have been added."""

    def __post_init__(self) -> None:
        """Check nothing."""


def complete_config(request: VideoConfig, fields: Collection[str]) -> VideoConfig:
    """Complete a configuration of which some fields were given, such as ``losses.ssim``.

    The preset ``clip`` is the default unless an option asks for more.
    """
    if "blueprint.pose" in fields and request.blueprint.pose is PoseKind.NONE:
        has_poses = request.data.poses is not None
        request = replace(
            request, data=replace(request.data, follow_poses=has_poses, temporal=has_poses)
        )
        fields = {*fields, "data.follow_poses", "data.temporal"}
    start = request.start if "start" in fields else None
    begun = None if start is None else embedded_encoder(start)
    preset = request.preset
    if "preset" not in fields:
        more = _departs_from_clip(request, fields)
        preset = "default" if more or (start is not None and begun is None) else "clip"
    is_clip = preset == "clip"
    usual = VideoData(
        roots=request.data.roots,
        parallax=5.0 if is_clip else 2.0,
        held_out=0.1 if is_clip else 0.05,
        held_out_stretches=2 if is_clip else 1,
    )
    data = with_fields_of(usual, request.data, fields, "data.")
    encoder = begun or (EMBEDDED if is_clip else "resnet18")
    blueprint = _usual_blueprint(request, fields, encoder, start, data if is_clip else None)
    plain = VideoConfig(
        blueprint=blueprint,
        data=data,
        preset=preset,
        start=_default_start(blueprint.encoder)
        if start is None
        else start
        if start != _SCRATCH
        else None,
        prior=request.prior,
        batch_size=4 if is_clip else 12,
    )
    config = preset_config(plain)
    if "minutes" not in fields and not {"epochs", "steps"}.isdisjoint(fields):
        config = replace(config, minutes=None)
    # The loss learns the mask that the network predicts.
    networks = replace(request.blueprint, mask=request.losses.predictive_mask)
    masked = replace(request, blueprint=networks)
    return with_fields_of(config, masked, {*fields, "blueprint.mask"} - {"start"})


def _usual_blueprint(
    request: VideoConfig,
    fields: Collection[str],
    encoder: str,
    start: str | None,
    clip: VideoData | None,
) -> VideoBlueprint:
    if "blueprint.encoder" in fields:
        encoder = request.blueprint.encoder
    pose = PoseKind.SEPARATE if clip is None else PoseKind.GEOMETRY
    size, area = (192, 640), None
    if clip is not None and "blueprint.size" not in fields:
        area = _input_area_of_start(start)
        size = network_size_for_footage(clip, area)
    usual = VideoBlueprint(
        encoder=encoder,
        pose=pose,
        pose_encoder=encoder if encoder.startswith("resnet") else "resnet18",
        size=size,
        area=area if encoder == EMBEDDED else None,
        scales=(0,) if encoder == EMBEDDED else (0, 1, 2, 3),
        kind=DepthKind.METRIC if _is_in_metres(request) else DepthKind.UP_TO_SCALE,
    )
    return with_fields_of(usual, request.blueprint, fields, "blueprint.")


def _input_area_of_start(start: str | None) -> int:
    if start is None or not is_video_run(Path(start)):
        return EMBEDDED_AREA
    blueprint = read_video_run(Path(start)).blueprint
    height, width = blueprint.size
    return blueprint.area or height * width


def _departs_from_clip(request: VideoConfig, fields: Collection[str]) -> bool:
    pose = request.blueprint.pose if "blueprint.pose" in fields else PoseKind.GEOMETRY
    encoder = request.blueprint.encoder if "blueprint.encoder" in fields else EMBEDDED
    return (
        pose is not PoseKind.GEOMETRY
        or encoder != EMBEDDED
        or _is_in_metres(request)
        or request.data.learn_camera
    )


def _is_in_metres(request: VideoConfig) -> bool:
    return request.data.follow_poses or request.data.stereo


def _default_start(encoder: str) -> str | None:
    if encoder == EMBEDDED:
        return EMBEDDED_START
    return None if encoder in _WITHOUT_IMAGENET else "imagenet"


def embedded_encoder(start: str) -> str | None:
    """Encoder of an embedded model or a run that refined one, or None."""
    if start == EMBEDDED_START:
        return EMBEDDED
    if not is_video_run(Path(start)):
        return None
    encoder = read_video_run(Path(start)).blueprint.encoder
    return encoder if encoder == EMBEDDED else None


def network_size_for_footage(data: VideoData, area: int) -> tuple[int, int]:
    """Find the size (height, width) at which a network of an area sees the first sequence.

    Footage that cannot be used counts as 4:3.
    """
    try:
        shape = list_sequences(data)[0].shape
    except InputError:
        shape = (3, 4)
    height, width = network_size(shape, area=area, multiple=_MULTIPLE)
    return max(_LEAST, height), max(_LEAST, width)
