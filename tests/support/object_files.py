"""A detector's files that the documents speak of."""

import json
from pathlib import Path

import numpy as np
from PIL import Image


def write_boxes(folder: Path, shape: tuple[int, int]) -> None:
    """A mask of a photograph of a size (height, width), and a box in ``photos/a.jpg``."""
    mask = np.zeros(shape, np.uint8)
    height, width = shape
    mask[height // 4 : height // 2, width // 4 : width // 2] = 255
    Image.fromarray(mask).save(folder / "car.png")
    box = {"file_name": "a.jpg", "category": "motorcycle", "bbox": [100, 90, 200, 150]}
    (folder / "detections.json").write_text(json.dumps([box]))
