"""Models outside rilievo that know the depth of ``sliding_walls``, or nothing but a shift of it."""

from dataclasses import replace

import numpy as np

from rilievo.models.base import Inference
from rilievo.models.card import ModelCard
from rilievo.models.outside import outside_model
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo
from support.sliding_walls import FAR, NEAR

CARD = ModelCard(
    name="test/walls",
    summary="two walls",
    kind=DepthKind.METRIC,
    normals=False,
    licence="none",
    commercial=False,
    megabytes=0.0,
    extra=None,
    speed="",
    loader="",
)


def true_depth(photo: Photo) -> Inference:
    height, width = photo.pixels.shape[:2]
    depth = np.full((height, width), FAR, np.float32)
    depth[height // 2 :] = NEAR
    return Inference(depth=depth)


@outside_model(CARD)
def load(options: object):
    return true_depth


@outside_model(replace(CARD, name="test/shifted", kind=DepthKind.AFFINE_INVERSE))
def load_shifted(options: object):
    return true_depth
