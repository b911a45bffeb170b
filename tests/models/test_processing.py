"""Results of the processing around a network, pinned: a change of them has to be told.

``version.PROCESSING`` keeps results of different processing apart.
"""

import numpy as np
import pytest
from PIL import Image

from rilievo.models.refinement.refine import refined
from rilievo.options.photo_options import Refine
from rilievo.records.sample import Photo
from rilievo.version import PROCESSING
from support.fixed_depth import FixedDepth

_PINNED = 5
_ADVICE = (
    "results of processing changed: raise PROCESSING in src/rilievo/version.py, and write it and "
    "the numbers of this run into this test"
)

SMALL = [1.40352, 1.57277, 1.16679, 1.29884, 8.07724, 27.37858]
LARGE = [1.39939, 1.56866, 1.16678, 1.29534, 2.69912, 9.55644]


def scene(height: int, width: int) -> tuple[FixedDepth, Photo]:
    """A small answer and its photograph: a disc and a bar before a wavy ground, with noise."""
    v, u = np.mgrid[:height, :width].astype(np.float32) * (240 / height)
    noise = np.random.default_rng(0).standard_normal((height, width, 1))
    waves = 1 + 0.02 * np.sin(u / 13) * np.cos(v / 17)
    disc, bar = np.hypot(u - 110, v - 120) < 55, (u > 220) & (u < 250) & (v > 40)
    depth = np.where(disc, 1.5, np.where(bar, 2.0, 6.0 - 0.01 * v)) * waves
    photo = np.stack([60 + 0.3 * v, 90 + 0.2 * u, 70 + 30 * np.sin(u / 9)], axis=2)
    photo[disc], photo[bar] = (190, 60, 50), (40, 50, 160)
    photo *= waves[..., None] + 0.03 * noise
    small = Image.fromarray(depth.astype(np.float32)).resize((80, 60), Image.Resampling.BILINEAR)
    return FixedDepth(np.asarray(small)), Photo(pixels=photo.clip(0, 255).astype(np.uint8))


@pytest.mark.parametrize(("size", "expected"), [((240, 320), SMALL), ((720, 960), LARGE)])
def test_results_of_processing_change_only_with_its_number(
    size: tuple[int, int], expected: list[float]
) -> None:
    model, photo = scene(*size)
    [prediction] = refined(model, Refine()).predict_raw([photo])
    logs = np.log(prediction.depth.values)
    steps = np.abs(np.diff(logs, axis=1))
    parts = logs.reshape(2, size[0] // 2, 2, size[1] // 2).mean(axis=(1, 3)).ravel()
    found = [round(float(each), 5) for each in (*parts, 1000 * steps.mean(), 1000 * steps.std())]
    assert PROCESSING == _PINNED, _ADVICE
    assert found == pytest.approx(expected, rel=1e-3), f"{_ADVICE}: {found}"
