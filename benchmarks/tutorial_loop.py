"""The scoring loop of FiftyOne's tutorial on monocular depth: one sample, three calls, one save.

Depth maps are 8-bit heat maps inside the database; RMSE, PSNR and SSIM are scikit-image's, and the
database saves each sample. https://docs.voxel51.com/tutorials/monocular_depth_estimation.html
"""

import json
import sys
import time
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image


def _main(folder: Path) -> dict[str, float]:
    import fiftyone
    from skimage.metrics import (
        mean_squared_error,
        peak_signal_noise_ratio,
        structural_similarity,
    )

    dataset = fiftyone.Dataset()
    dataset.add_samples([_sample(fiftyone, path) for path in sorted(folder.glob("images/*"))])
    start, processor = time.perf_counter(), time.process_time()
    for sample in dataset.iter_samples(autosave=True, progress=False):
        true, label = sample["true"].map, sample["predicted"]
        predicted = label.map
        label["rmse"] = float(np.sqrt(mean_squared_error(true, predicted)))
        label["psnr"] = float(peak_signal_noise_ratio(true, predicted))
        label["ssim"] = float(structural_similarity(true, predicted))
        sample["predicted"] = label
    seconds = time.perf_counter() - start
    cpu = time.process_time() - processor
    dataset.delete()
    return {"seconds": seconds, "cpu": cpu}


def _sample(fiftyone: object, image: Path) -> object:
    depth = np.asarray(Image.open(image.parent.parent / "depth" / f"{image.stem}.png"))
    inverse = np.load(image.parent.parent / "predictions" / f"{image.stem}.npy")
    return fiftyone.Sample(  # pyright: ignore[reportAttributeAccessIssue]
        filepath=str(image),
        true=fiftyone.Heatmap(map=_picture(depth)),  # pyright: ignore[reportAttributeAccessIssue]
        predicted=fiftyone.Heatmap(  # pyright: ignore[reportAttributeAccessIssue]
            map=255 - _picture(inverse)
        ),
    )


def _picture(numbers: np.ndarray) -> UInt8[np.ndarray, "h w"]:
    return (numbers * (255 / np.max(numbers))).astype(np.uint8)


if __name__ == "__main__":
    print(json.dumps(_main(Path(sys.argv[1]))))
