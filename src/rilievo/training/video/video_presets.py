"""Presets of training on video, and how a configuration differs from them.

- ``clip`` refines the embedded model on one clip in minutes; motion comes from geometry.
- ``default`` trains all networks, and corrects what is wrong with the published program.
- ``faithful`` trains as the authors of Monodepth2 did (Godard et al., ICCV 2019). Three details
  differ without changing a mean: the noise of the auto-mask is drawn once per step, changed colours
  are rounded once, and a rotation of zero has its true gradient.
"""

from collections.abc import Mapping
from dataclasses import replace

from rilievo.data.clips.footage import SourceKind, VideoData
from rilievo.errors import OptionError, suggest
from rilievo.models.default.embedded import SMALL
from rilievo.training.engine.config_fields import FieldDifference, find_differences
from rilievo.training.losses.video_options import VideoLosses
from rilievo.training.networks.blueprint import EMBEDDED_ENCODER, POSE_NETWORKS
from rilievo.training.video.video_config import VideoAugmentation, VideoConfig

PRESETS = ("default", "faithful", "clip")

EMBEDDED_START = SMALL
"""Name of the embedded model, the weights from which the encoder ``small`` starts."""

_KITTI = (SourceKind.KITTI_RAW, SourceKind.KITTI_ODOMETRY)
_PUBLISHED_BASELINE = 0.1
"""Baseline of KITTI's stereo pair in the published program, in its unit of depth."""
_PUBLISHED_DEPTH_UNIT = 5.4
"""Metres per unit of depth that follow from this baseline, as the cameras are 0.54 m apart."""

_POSE_WARM_UP_STEPS = 1000

REASONS: Mapping[str, str] = {
    "preset": "the name of the preset",
    "augmentation.move_centre": (
        "a mirrored frame keeps its principal point, as in the published program, which assumes "
        "that the principal point is in the middle; 'default' mirrors it too"
    ),
    "data.published_camera": (
        "all of KITTI shares one K, with focal lengths of 0.58 of the width and 1.92 of the "
        "height; 'default' uses the calibration of each day"
    ),
    "data.baseline": (
        "the two cameras are 0.1 apart, so one unit of depth is 5.4 m; otherwise depth is in metres"
    ),
    "losses.in_front": (
        "a point behind a source's camera takes its colour from wherever the projection lands; "
        "'default' gives it the largest error"
    ),
    "losses.pixel_centres": (
        "with scales=native, the K of a coarser scale is the normalised K times its size, which "
        "shifts pixel centres by up to half a pixel; 'default' keeps them in place"
    ),
    "blueprint.cancels_scale": (
        "the translation of the pose network 'cnn' is multiplied by the mean inverse depth, which "
        "squares the scale of depth in the parallax; 'default' divides by it, which cancels the "
        "scale"
    ),
    "warm_up": (
        "training uses the full learning rate from the first step; 'default' raises it gradually, "
        "so that an untrained pose network does not push depth to one end of its range"
    ),
    "pose_warm_up": (
        "the pose network is trained from random weights together with depth; 'default' first "
        "trains it on camera motions computed by geometry, if a start or a prior provides depth"
    ),
    "clip_norm": (
        "gradients have no upper limit; 'default' limits them, so that a single bad batch does no "
        "harm"
    ),
}
"""Reasons why ``faithful`` differs from ``default``, by field."""


def preset_config(config: VideoConfig) -> VideoConfig:
    """Replace all numbers of a configuration by those of the preset that its ``preset`` names.

    Data, network, start, prior, labels, batch size and seed are kept, except for the few fields of
    data and network that are part of the preset.

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
    """Whether a pose network learns, and can first learn motion by geometry from known depth."""
    data = config.data
    if config.blueprint.pose not in POSE_NETWORKS or not data.temporal:
        return False
    if data.follow_poses or data.stereo or data.learn_camera:
        return False
    return config.prior is not None or config.start == EMBEDDED_START


def _faithful_preset(base: VideoConfig) -> VideoConfig:
    """Repeat the published program of Monodepth2, with what is wrong in it."""
    data = _with_published_camera(base.data)

    # A camera or baseline that the user gives is kept, and with it the unit of depth.
    has_published_baseline = data.baseline != base.data.baseline
    unit = _PUBLISHED_DEPTH_UNIT if has_published_baseline else base.blueprint.unit

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


def _clip_preset(base: VideoConfig) -> VideoConfig:
    """Refine an embedded model on one clip in minutes, without forgetting other places."""
    # Replay shows pictures one by one, which would spoil the batch statistics of other encoders.
    can_replay = base.blueprint.encoder == EMBEDDED_ENCODER and not base.starts_without_depth
    # Without corners, plain roads and walls would be pulled to the scale of the motion first.
    losses = VideoLosses(anchor=0.1, corners=0.5, replay=1.0 if can_replay else 0.0)
    return replace(
        base,
        losses=losses,
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
        data=replace(config.data, published_camera=False, baseline=None),
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
