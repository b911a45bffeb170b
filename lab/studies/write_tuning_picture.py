"""Write docs/pictures/fine-tuning.jpg from a run of ``rilievo train supervised --start``.

    RILIEVO_DATA=... python lab/studies/write_tuning_picture.py RUN

The last frame, which was kept out, its true depth, and depth before and after. The frames are
freiburg1_desk of the TUM RGB-D benchmark (Sturm et al. 2012, CC BY 4.0).
docs/reference/fine-tuning.md has the command of the run.
"""

import os
import sys
from pathlib import Path

import numpy as np
from PIL import Image

from rilievo.alignment.ground_truth import align
from rilievo.data.datasets import open_dataset
from rilievo.io.map_pictures import colour_range, colourise
from rilievo.models import load_model
from rilievo.records.depth_map import DepthKind, DepthMap

_CLIP, _START = "tum_fr1_desk_9", "rilievo/small"
_PICTURE = Path(__file__).parents[2] / "docs" / "pictures" / "fine-tuning.jpg"
_SIZE, _QUALITY = (400, 300), 88


def main() -> None:
    """Write the picture."""
    if "RILIEVO_DATA" not in os.environ or len(sys.argv) != 2:
        sys.exit(f"set RILIEVO_DATA, the folder that holds {_CLIP}, and name a run")
    dataset = open_dataset("tum", Path(os.environ["RILIEVO_DATA"]) / _CLIP)
    sample = dataset.sample(dataset.ids[-1])
    assert sample.depth is not None, "the set has it"
    assert sample.depth_valid is not None, "it comes with depth"
    true = DepthMap(values=sample.depth, kind=DepthKind.METRIC, valid=sample.depth_valid)
    limits, panels = colour_range(true), [sample.image, colourise(true)]
    for name in (_START, sys.argv[1]):
        (prediction,) = load_model(name, device="cpu").predict_raw([sample.image])
        depth = align(prediction.depth, sample.depth, sample.depth_valid).depth
        panels.append(colourise(depth, limits=limits))
    small = [np.asarray(Image.fromarray(panel).resize(_SIZE)) for panel in panels]
    whole = Image.fromarray(np.concatenate(small, axis=1))
    whole.save(_PICTURE, quality=_QUALITY, optimize=True)


if __name__ == "__main__":
    main()
