"""Fields of a run that were not given."""

from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

from rilievo.data.clips.footage import VideoData
from rilievo.data.clips.sources import list_sequences
from rilievo.depth_map import DepthKind
from rilievo.errors import InputError
from rilievo.frozen import frozen
from rilievo.models.resampling.preparation import network_size
from rilievo.training.adapters.run_models import is_video_run, read_video_run
from rilievo.training.engine.differences import with_given
from rilievo.training.networks.blueprint import EMBEDDED, PoseKind, VideoBlueprint
from rilievo.training.video.config.video_config import VideoConfig
from rilievo.training.video.config.video_presets import (
    EMBEDDED_AREA,
    EMBEDDED_START,
    preset_config,
)

_WITHOUT_IMAGENET = ("lite",)
_SCRATCH = "scratch"
_MULTIPLE, _LEAST = 32, 64


@frozen
class UncheckedVideoConfig(VideoConfig):
    """Fields as they are given, which are checked once the others have been added."""

    def __post_init__(self) -> None:
        """Check nothing."""


def completed(request: VideoConfig, fields: Collection[str]) -> VideoConfig:
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
        more = _asks_for_more(request, fields)
        preset = "default" if more or (start is not None and begun is None) else "clip"
    is_clip = preset == "clip"
    usual = VideoData(
        roots=request.data.roots,
        parallax=5.0 if is_clip else 2.0,
        held_out=0.1 if is_clip else 0.05,
        held_out_stretches=2 if is_clip else 1,
    )
    data = with_given(usual, request.data, fields, "data.")
    encoder = begun or (EMBEDDED if is_clip else "resnet18")
    blueprint = _blueprint(request, fields, encoder, start, data if is_clip else None)
    plain = VideoConfig(
        blueprint=blueprint,
        data=data,
        preset=preset,
        start=_start(blueprint.encoder) if start is None else start if start != _SCRATCH else None,
        prior=request.prior,
        batch_size=4 if is_clip else 12,
    )
    config = preset_config(plain)
    if "minutes" not in fields and not {"epochs", "steps"}.isdisjoint(fields):
        config = replace(config, minutes=None)
    # The loss learns the mask that the network predicts.
    networks = replace(request.blueprint, mask=request.losses.predictive_mask)
    masked = replace(request, blueprint=networks)
    return with_given(config, masked, {*fields, "blueprint.mask"} - {"start"})


def _blueprint(
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
        area = _area(start)
        size = size_of_footage(clip, area)
    usual = VideoBlueprint(
        encoder=encoder,
        pose=pose,
        pose_encoder=encoder if encoder.startswith("resnet") else "resnet18",
        size=size,
        area=area if encoder == EMBEDDED else None,
        scales=(0,) if encoder == EMBEDDED else (0, 1, 2, 3),
        kind=DepthKind.METRIC if _in_metres(request) else DepthKind.UP_TO_SCALE,
    )
    return with_given(usual, request.blueprint, fields, "blueprint.")


def _area(start: str | None) -> int:
    if start is None or not is_video_run(Path(start)):
        return EMBEDDED_AREA
    blueprint = read_video_run(Path(start)).blueprint
    height, width = blueprint.size
    return blueprint.area or height * width


def _asks_for_more(request: VideoConfig, fields: Collection[str]) -> bool:
    pose = request.blueprint.pose if "blueprint.pose" in fields else PoseKind.GEOMETRY
    encoder = request.blueprint.encoder if "blueprint.encoder" in fields else EMBEDDED
    return (
        pose is not PoseKind.GEOMETRY
        or encoder != EMBEDDED
        or _in_metres(request)
        or request.data.learn_camera
    )


def _in_metres(request: VideoConfig) -> bool:
    return request.data.follow_poses or request.data.stereo


def _start(encoder: str) -> str | None:
    if encoder == EMBEDDED:
        return EMBEDDED_START
    return None if encoder in _WITHOUT_IMAGENET else "imagenet"


def embedded_encoder(start: str) -> str | None:
    """Find the encoder of an embedded model, or of a run that refined one."""
    if start == EMBEDDED_START:
        return EMBEDDED
    if not is_video_run(Path(start)):
        return None
    encoder = read_video_run(Path(start)).blueprint.encoder
    return encoder if encoder == EMBEDDED else None


def size_of_footage(data: VideoData, area: int) -> tuple[int, int]:
    """Find the size (height, width) at which a network of an area sees the first sequence.

    Footage that cannot be used counts as 4:3.
    """
    try:
        shape = list_sequences(data)[0].shape
    except InputError:
        shape = (3, 4)
    height, width = network_size(shape, area=area, multiple=_MULTIPLE)
    return max(_LEAST, height), max(_LEAST, width)
