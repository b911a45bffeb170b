"""Write docs/pictures/anchoring.jpg: ``python lab/studies/write_anchoring_picture.py``.

Above: a photograph, the embedded model's depth, and inverse depth with an unknown scale and shift.
Below, seen from the side: the surfaces of the embedded depth, of the inverse depth with a guessed
shift, and of the anchored one. The truth, seen at 288x224, stands in the place of a strong model.
The photograph: Motorcycle (Middlebury 2014, D. Scharstein and others).
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image
from try_anchoring import affine, inverse_of, seen_by_a_strong_model

import rilievo
from rilievo.io.colour_pictures import colourise
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.io.outputs.turning import first_view, picture, scene_of
from rilievo.predicting.photographs.anchored_depth import anchoring_of
from rilievo.prediction import Prediction
from rilievo.types import Camera, CameraSource, DepthKind, DepthMap

PICTURE = Path(__file__).parents[2] / "docs/pictures/anchoring.jpg"
K = np.array([[994.978, 0, 311.193], [0, 994.978, 254.877], [0, 0, 1]])
BASELINE, OFFSET = 0.193001, 31.086
"""Baseline [m] and offset of the disparities [px], by scikit-image's documentation."""
TURNED = (-16.0, 6.0)
"""Degrees around the surface, and down."""
_HEIGHT, _GAP, _SEED, _FLOOR = 270, 4, 3, 0.1


def views() -> list[list[Image.Image]]:
    """Three pictures above, three surfaces below."""
    photo, _, disparity = skimage.data.stereo_motorcycle()
    valid = np.isfinite(disparity) & (disparity > 0)
    depth = np.where(valid, K[0, 0] * BASELINE / (np.where(valid, disparity, 1) + OFFSET), 1)
    chance = np.random.default_rng(_SEED)
    seen = seen_by_a_strong_model(depth.astype(np.float32), valid, chance, error=0.0)
    strong = affine(*seen, chance)
    camera = Camera(K=K, source=CameraSource.GIVEN)
    embedded = rilievo.predict(photo, camera=camera)
    anchoring = anchoring_of(strong, embedded.depth, is_known=True)
    own = embedded.but(depth_or_none=strong, normals=None, anchoring=anchoring)
    guessed = own.but(depth_or_none=_guessed(strong), anchoring=None)
    flat = (photo, colourise(embedded.depth), colourise(strong))
    return [
        [Image.fromarray(each) for each in flat],
        [_turned(each) for each in (embedded, guessed, own.anchored)],
    ]


def _guessed(strong: DepthMap) -> DepthMap:
    """Depth as if the least value, less a tenth of the range, were infinitely far."""
    low, high = strong.values[strong.valid].min(), strong.values[strong.valid].max()
    raised = strong.values - low + _FLOOR * (high - low)
    values = inverse_of(raised.astype(np.float32), strong.valid)
    return DepthMap(values=values, kind=DepthKind.UP_TO_SCALE, valid=strong.valid)


def _turned(prediction: Prediction) -> Image.Image:
    assert prediction.camera is not None
    assert prediction.photo is not None
    parts = (prediction, prediction.depth, prediction.camera, prediction.photo)
    scene = scene_of(*parts, SaveOptions())
    yaw, pitch = TURNED
    view = replace(first_view(scene), yaw=yaw, pitch=pitch)
    return Image.fromarray(picture(scene, view))


def main() -> None:
    """Write the picture."""
    rows = views()
    width = round(_HEIGHT * rows[0][0].width / rows[0][0].height)
    sheet = Image.new("RGB", (3 * width + 2 * _GAP, 2 * _HEIGHT + _GAP), "white")
    for down, row in enumerate(rows):
        for across, each in enumerate(row):
            cell = each.convert("RGB").resize((width, _HEIGHT), Image.Resampling.LANCZOS)
            sheet.paste(cell, (across * (width + _GAP), down * (_HEIGHT + _GAP)))
    sheet.save(PICTURE, quality=82, optimize=True)


if __name__ == "__main__":
    main()
