"""Completion of configurations of training on video, of which a user gives some fields."""

from collections.abc import Collection
from dataclasses import dataclass, replace
from pathlib import Path

from rilievo.data.clips.footage import VideoData
from rilievo.data.clips.sources import list_sequences
from rilievo.errors import InputError
from rilievo.models.resampling.preparation import network_size
from rilievo.records.depth_map import DepthKind
from rilievo.training.adapters.run_models import is_video_run, read_video_run
from rilievo.training.engine.config_fields import override_fields
from rilievo.training.networks.blueprint import (
    EMBEDDED_ENCODER,
    IMAGENET_START,
    PoseKind,
    VideoBlueprint,
)
from rilievo.training.video.video_config import VideoConfig
from rilievo.training.video.video_presets import EMBEDDED_START, preset_config

_SCRATCH_START = "scratch"
"""Word of users for random weights; a completed configuration has None for it."""
_ENCODERS_WITHOUT_IMAGENET = ("lite",)

_EMBEDDED_INPUT_PIXELS = 64512
"""Number of pixels of the embedded model's input, such as 224 x 288."""
_SIDE_MULTIPLE = 32
"""Common divisor of a network's height and width [px]."""
_MIN_SIDE = 64
"""Least height and width of a network [px]."""

_PUBLISHED_SIZE = (192, 640)
"""Height and width of the networks of Monodepth2 [px]."""
_PUBLISHED_SCALES = (0, 1, 2, 3)
"""Numbers of halvings of the size at which the networks of Monodepth2 predict depth."""
_PUBLISHED_ENCODER = "resnet18"
_BATCH_SIZE = 12
"""Targets per step, as in the program of Monodepth2."""
_CLIP_BATCH_SIZE = 4
"""Targets per step of the preset ``clip``: few, so that a run of minutes has many steps."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UncheckedVideoConfig(VideoConfig):
    """Configuration of which some fields are missing, so that it cannot be checked yet."""

    def __post_init__(self) -> None:
        """Check nothing."""


def complete_video_config(given: VideoConfig, fields: Collection[str]) -> VideoConfig:
    """Fill in the fields of a configuration that the user did not give.

    ``fields`` are the paths of the given fields, such as ``losses.ssim``. All other values in
    ``given`` are ignored. Each step depends on those before it:

    1. The preset: the given one; else ``clip``, if the run can refine the embedded model; else
       ``default``.
    2. Data, networks and start: defaults for this preset, replaced by the given fields.
    3. All other numbers: those of the preset, replaced by the given fields.
    """
    start = given.start if "start" in fields else None
    given_encoder = given.blueprint.encoder if "blueprint.encoder" in fields else None
    pose = given.blueprint.pose if "blueprint.pose" in fields else None
    if pose is PoseKind.NONE:
        # Motion comes from the recorded poses; without poses, the stereo pair alone gives it.
        has_poses = given.data.poses is not None
        data = replace(given.data, follow_poses=has_poses, temporal=has_poses)
        given = replace(given, data=data)
        fields = {*fields, "data.follow_poses", "data.temporal"}

    if "preset" in fields:
        preset = given.preset
    elif _can_refine_embedded_model(given.data, start=start, encoder=given_encoder, pose=pose):
        preset = "clip"
    else:
        preset = "default"
    is_clip = preset == "clip"

    if given_encoder is not None:
        encoder = given_encoder
    elif is_clip or _starts_from_embedded_model(start):
        encoder = EMBEDDED_ENCODER
    else:
        encoder = _PUBLISHED_ENCODER
    data = override_fields(
        _default_data(given.data.roots, is_clip=is_clip), given.data, fields, "data."
    )
    num_pixels = _input_pixels(start) if is_clip and "blueprint.size" not in fields else None
    networks = _default_networks(encoder, data, num_pixels, is_clip=is_clip)
    base = VideoConfig(
        blueprint=override_fields(networks, given.blueprint, fields, "blueprint."),
        data=data,
        preset=preset,
        start=_resolve_start(start, encoder),
        prior=given.prior,
        batch_size=_CLIP_BATCH_SIZE if is_clip else _BATCH_SIZE,
    )
    return _override_preset(preset_config(base), given, fields)


def _can_refine_embedded_model(
    data: VideoData, *, start: str | None, encoder: str | None, pose: PoseKind | None
) -> bool:
    """Whether a run can refine the embedded model with motion by geometry, as ``clip`` does.

    ``start``, ``encoder`` and ``pose`` are None where the user did not give them.
    """
    if start is not None and not _starts_from_embedded_model(start):
        return False
    if encoder not in (None, EMBEDDED_ENCODER):
        return False
    if pose not in (None, PoseKind.GEOMETRY) or _is_in_metres(data):
        return False
    # Motion by geometry needs fixed focal lengths.
    return not data.learn_camera


def _is_in_metres(data: VideoData) -> bool:
    """Whether recorded poses or the baseline of a stereo pair give the scale of depth."""
    return data.follow_poses or data.stereo


def _starts_from_embedded_model(start: str | None) -> bool:
    """Whether a run starts from the weights of the embedded model, or of a run that refined it."""
    if start is None:
        return False
    if start == EMBEDDED_START:
        return True
    if not is_video_run(Path(start)):
        return False
    return read_video_run(Path(start)).blueprint.encoder == EMBEDDED_ENCODER


def _default_data(roots: tuple[str, ...], *, is_clip: bool) -> VideoData:
    return VideoData(
        roots=roots,
        parallax=5.0 if is_clip else 2.0,
        held_out=0.1 if is_clip else 0.05,
        held_out_stretches=2 if is_clip else 1,
    )


def _default_networks(
    encoder: str, data: VideoData, num_pixels: int | None, *, is_clip: bool
) -> VideoBlueprint:
    """Networks for an encoder, whose input has about ``num_pixels``, or Monodepth2's size if None.

    The embedded model's encoder differs from the published networks: it predicts depth at one scale
    only, and accepts photographs of any shape at a fixed number of pixels (``area``).
    """
    is_embedded = encoder == EMBEDDED_ENCODER
    return VideoBlueprint(
        encoder=encoder,
        pose=PoseKind.GEOMETRY if is_clip else PoseKind.SEPARATE,
        pose_encoder=encoder if encoder.startswith("resnet") else _PUBLISHED_ENCODER,
        size=_PUBLISHED_SIZE if num_pixels is None else _size_in_shape_of(data, num_pixels),
        area=num_pixels if is_embedded else None,
        scales=(0,) if is_embedded else _PUBLISHED_SCALES,
        kind=DepthKind.METRIC if _is_in_metres(data) else DepthKind.UP_TO_SCALE,
    )


def _input_pixels(start: str | None) -> int:
    """Number of pixels of the input of the run to start from, or of the embedded model."""
    if start is None or not is_video_run(Path(start)):
        return _EMBEDDED_INPUT_PIXELS
    blueprint = read_video_run(Path(start)).blueprint
    height, width = blueprint.size
    return blueprint.area or height * width


def _size_in_shape_of(data: VideoData, num_pixels: int) -> tuple[int, int]:
    """Size (height, width) of about ``num_pixels``, in the shape of the first sequence.

    The shape is 4:3 for footage that cannot be used.
    """
    try:
        shape = list_sequences(data)[0].shape
    except InputError:
        shape = (3, 4)
    height, width = network_size(shape, pixel_count=num_pixels, multiple=_SIDE_MULTIPLE)
    return max(_MIN_SIDE, height), max(_MIN_SIDE, width)


def _resolve_start(start: str | None, encoder: str) -> str | None:
    """Weights to start from: the given ones, or the default of the encoder; None for random."""
    if start == _SCRATCH_START:
        return None
    if start is not None:
        return start
    if encoder == EMBEDDED_ENCODER:
        return EMBEDDED_START
    return None if encoder in _ENCODERS_WITHOUT_IMAGENET else IMAGENET_START


def _override_preset(
    config: VideoConfig, given: VideoConfig, fields: Collection[str]
) -> VideoConfig:
    """Replace values of the preset by given ones, except ``start``, which is already resolved."""
    # A length that the user gave replaces the minutes of the preset.
    if "epochs" in fields or "steps" in fields:
        config = replace(config, minutes=None)

    # The network predicts a mask if, and only if, the loss learns it.
    blueprint = replace(given.blueprint, mask=given.losses.predictive_mask)
    given = replace(given, blueprint=blueprint)
    return override_fields(config, given, {*fields, "blueprint.mask"} - {"start"})
