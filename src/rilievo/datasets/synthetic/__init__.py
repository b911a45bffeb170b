"""Scenes made by chance, ray traced on the CPU, with exact depth and normals.

``render`` makes one sample, ``render_clip`` a walk through one scene, and ``python -m
rilievo.datasets.synthetic`` writes many. Rooms, streets, open ground, close-ups and people are
built of boxes, ellipsoids, cones and sheets, painted with procedural textures and free
photographs, so a network trained on them owes nothing to anyone.
"""

from rilievo.errors import MissingExtraError

try:
    import cv2 as _cv2  # noqa: F401
    import numba as _numba  # noqa: F401
except ImportError as error:
    raise MissingExtraError(f"rendering synthetic scenes ({error.name})", "train") from error

from rilievo.datasets.synthetic.clip import render_clip
from rilievo.datasets.synthetic.clip_folders import ClipPlan, write_clips
from rilievo.datasets.synthetic.pictures import read_photographs, scikit_image_photographs
from rilievo.datasets.synthetic.renderer import render
from rilievo.datasets.synthetic.shards import ShardPlan, write_shards
from rilievo.datasets.synthetic.textures import TextureBank, make_textures
from rilievo.datasets.synthetic.venue import Kind

__all__ = [
    "ClipPlan",
    "Kind",
    "ShardPlan",
    "TextureBank",
    "make_textures",
    "read_photographs",
    "render",
    "render_clip",
    "scikit_image_photographs",
    "write_clips",
    "write_shards",
]
