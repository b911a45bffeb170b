"""Results of the processing around a network, pinned: a change of them has to be told.

``version.PROCESSING`` keeps results of different processing apart. Between processors the numbers
here differ by a millionth; a constant of ``rilievo.models.processing.edge_snapping`` changed by a
fifth moves them by two to fifty thousandths.
"""

import numpy as np
import pytest
from PIL import Image

from rilievo.models.base import Inference
from rilievo.models.processing.sharpening import sharpen
from rilievo.types import DepthKind
from rilievo.version import PROCESSING

_PINNED = 4
_ADVICE = (
    "results of sharpening changed: raise PROCESSING in src/rilievo/version.py, and write it and "
    "the numbers of this run into this test"
)


def scene(height: int, width: int) -> tuple[Inference, np.ndarray]:
    """A blurred answer and its photograph: a disc and a bar before a wavy ground, with noise."""
    v, u = np.mgrid[:height, :width].astype(np.float32) * (240 / height)
    noise = np.random.default_rng(0).standard_normal((height, width, 1))
    waves = 1 + 0.02 * np.sin(u / 13) * np.cos(v / 17)
    disc, bar = np.hypot(u - 110, v - 120) < 55, (u > 220) & (u < 250) & (v > 40)
    depth = np.where(disc, 1.5, np.where(bar, 2.0, 6.0 - 0.01 * v)) * waves
    photo = np.stack([60 + 0.3 * v, 90 + 0.2 * u, 70 + 30 * np.sin(u / 9)], axis=2)
    photo[disc], photo[bar] = (190, 60, 50), (40, 50, 160)
    photo *= waves[..., None] + 0.03 * noise
    small = Image.fromarray(depth.astype(np.float32)).resize((80, 60), Image.Resampling.BILINEAR)
    return Inference(depth=np.asarray(small)), photo.clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (
            (240, 320),
            [
                1.7185,
                1.58248,
                1.60737,
                1.66195,
                1.29262,
                0.43902,
                1.32782,
                1.45841,
                1.38106,
                1.25532,
                1.22144,
                1.29908,
                8.09364,
                81.34753,
            ],
        ),
        (
            (720, 960),
            [
                1.7169,
                1.57592,
                1.60089,
                1.6594,
                1.2836,
                0.44002,
                1.32062,
                1.45566,
                1.38009,
                1.25637,
                1.21511,
                1.29804,
                2.70634,
                45.76613,
            ],
        ),
    ],
)
def test_results_of_sharpening_change_only_with_the_number_of_the_processing(
    size: tuple[int, int], expected: list[float]
) -> None:
    inference, photo = scene(*size)
    sharp = sharpen(inference, photo, DepthKind.UP_TO_SCALE, size).depth
    assert sharp is not None
    logs = np.log(sharp)
    steps = np.abs(np.diff(logs, axis=1))
    parts = logs.reshape(3, size[0] // 3, 4, size[1] // 4).mean(axis=(1, 3)).ravel()
    found = [round(float(each), 5) for each in (*parts, 1000 * steps.mean(), 1000 * steps.std())]
    assert PROCESSING == _PINNED, _ADVICE
    assert found == pytest.approx(expected, rel=1e-3), f"{_ADVICE}: {found}"
