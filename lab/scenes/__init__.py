"""Randomly generated scenes, ray traced on the CPU, with exact depth and normals.

``render`` makes one sample, ``render_clip`` a walk through one scene, and ``python -m lab.scenes``
writes many. Rooms, streets, open ground, close-ups and people are built of boxes, ellipsoids, cones
and sheets, with procedural textures and free photographs, so networks trained on them are free of
licence restrictions from training data.

The renderer stands beside ``rilievo`` in the repository and is not part of its wheel: it makes the
frames that train the embedded models, and an editable install of a checkout finds it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from rilievo.errors import explain_missing_extra

if TYPE_CHECKING:
    from lab.scenes.clip import Clip as Clip
    from lab.scenes.clip import render_clip as render_clip
    from lab.scenes.clip_folders import ClipPlan as ClipPlan
    from lab.scenes.clip_folders import write_clips as write_clips
    from lab.scenes.pictures import read_photographs as read_photographs
    from lab.scenes.pictures import (
        scikit_image_photographs as scikit_image_photographs,
    )
    from lab.scenes.renderer import render as render
    from lab.scenes.shards import ShardPlan as ShardPlan
    from lab.scenes.shards import write_shards as write_shards
    from lab.scenes.textures import TextureBank as TextureBank
    from lab.scenes.textures import make_textures as make_textures
    from lab.scenes.venue import Kind as Kind

# Module of each name; loaded at first use, since they import numba and OpenCV.
_HOMES = {
    "Clip": "clip",
    "ClipPlan": "clip_folders",
    "Kind": "venue",
    "ShardPlan": "shards",
    "TextureBank": "textures",
    "make_textures": "textures",
    "read_photographs": "pictures",
    "render": "renderer",
    "render_clip": "clip",
    "scikit_image_photographs": "pictures",
    "write_clips": "clip_folders",
    "write_shards": "shards",
}

__all__ = sorted(_HOMES)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    """Load a public name at its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'lab.scenes' has no attribute '{name}'")
    with explain_missing_extra("rendering synthetic scenes", "train"):
        value = getattr(import_module(f"lab.scenes.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
