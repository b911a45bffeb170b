"""Write docs/pictures/anchoring.jpg: ``python lab/studies/write_anchoring_picture.py``.

Above: a photograph, the embedded model's depth, and inverse depth with an unknown scale and shift.
Below, seen from the side: the surfaces of the embedded depth, of the inverse depth with a guessed
shift, and of the anchored one. The truth, seen at 288x224, stands in the place of a strong model.
The photograph: Motorcycle (Middlebury 2014, D. Scharstein and others).
"""

from pathlib import Path

import numpy as np
from everyday_photographs import MOTORCYCLE_K, motorcycle, photograph
from picture_grid import grid, turned
from PIL import Image
from try_anchoring import affine, inverse_of, seen_by_a_strong_model

import rilievo
from rilievo.geometry.cameras.camera import Camera, CameraSource
from rilievo.io.map_pictures import colourise
from rilievo.predicting.photographs.anchoring import fit_anchoring
from rilievo.records.depth_map import DepthKind, DepthMap

PICTURE = Path(__file__).parents[2] / "docs/pictures/anchoring.jpg"
TURNED = (-16.0, 6.0)
"""Degrees around the surface, and down."""
_HEIGHT, _SEED, _FLOOR = 270, 3, 0.1


def views() -> list[list[Image.Image]]:
    """Three pictures above, three surfaces below."""
    photo, truth = photograph("motorcycle"), motorcycle()
    chance = np.random.default_rng(_SEED)
    seen = seen_by_a_strong_model(truth.values.astype(np.float32), truth.valid, chance, error=0.0)
    strong = affine(*seen, chance)
    camera = Camera(K=MOTORCYCLE_K, source=CameraSource.GIVEN)
    embedded = rilievo.predict(photo, camera=camera)
    anchoring = fit_anchoring(strong, embedded.depth, is_listed=True)
    own = embedded.but(depth_or_none=strong, normals=None, anchoring=anchoring)
    guessed = own.but(depth_or_none=_guessed(strong), anchoring=None)
    flat = (photo, colourise(embedded.depth), colourise(strong))
    return [
        [Image.fromarray(each) for each in flat],
        [turned(each, *TURNED) for each in (embedded, guessed, own.anchored)],
    ]


def _guessed(strong: DepthMap) -> DepthMap:
    """Depth as if the least value, less a tenth of the range, were infinitely far."""
    low, high = strong.values[strong.valid].min(), strong.values[strong.valid].max()
    raised = strong.values - low + _FLOOR * (high - low)
    values = inverse_of(raised.astype(np.float32), strong.valid)
    return DepthMap(values=values, kind=DepthKind.UP_TO_SCALE, valid=strong.valid)


def main() -> None:
    """Write the picture."""
    rows = views()
    size = (round(_HEIGHT * rows[0][0].width / rows[0][0].height), _HEIGHT)
    cells = [[each.resize(size, Image.Resampling.LANCZOS) for each in row] for row in rows]
    grid(cells).save(PICTURE, quality=82, optimize=True)


if __name__ == "__main__":
    main()
