"""Files as MoGe's bundle of evaluation sets has them, byte for byte in what matters."""

import json
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

LABELS = {"wall": 7, "chair": 3, "sky": 9, "speck": 4}


def write_log_depth(path: Path, depth: np.ndarray, *, unit: float | None = None) -> None:
    """16 bits, evenly in the logarithm between the ends; NaN is 0 and infinity 65535."""
    finite = np.isfinite(depth)
    near, far = float(depth[finite].min()), float(depth[finite].max())
    share = np.log(np.where(finite, depth, near) / near) / np.log(far / near)
    stored = (1 + np.round(share * 65533)).astype(np.uint16)
    stored[np.isnan(depth)], stored[np.isposinf(depth)] = 0, 65535
    texts = PngInfo()
    texts.add_text("near", str(near))
    texts.add_text("far", str(far))
    if unit is not None:
        texts.add_text("unit", str(unit))
    Image.fromarray(stored).save(path, pnginfo=texts)


def scene(size: tuple[int, int], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A photograph, depth with holes and sky, and objects."""
    height, width = size
    chance = np.random.default_rng(seed)
    v, u = np.mgrid[:height, :width]
    photo = np.stack([u * 255 // width, v * 255 // height, (u * v + seed * 40) % 256], axis=2)
    depth = 2 + np.sin(u / 9 + seed) + 0.5 * np.cos(v / 7)
    depth[chance.random(size) < 0.3] = np.nan
    depth[: height // 8] = np.inf
    depth[-1, -3:] = 5000.0
    objects = np.where(u < width / 2, 7, 3).astype(np.uint8)
    objects[: height // 8] = 9
    objects[height // 2 : height // 2 + 2, 5:8] = 4
    return photo.astype(np.uint8), depth, objects


def intrinsics(size: tuple[int, int], *, cx: float = 0.5, cy: float = 0.5) -> np.ndarray:
    """Intrinsics in shares of the sides, with square pixels."""
    height, width = size
    return np.array([[0.9, 0, cx], [0, 0.9 * width / height, cy], [0, 0, 1]])


def write_bundle(root: Path, name: str, size: tuple[int, int] = (48, 70), count: int = 2) -> Path:
    """Write a set of that name; its folder comes back."""
    folder = root / name
    names = [f"room{number}/{number:04}" for number in range(count)]
    for number, each in enumerate(names):
        place = folder / each
        place.mkdir(parents=True)
        photo, depth, objects = scene(size, number)
        Image.fromarray(photo).save(place / "image.jpg", quality=95)
        write_log_depth(place / "depth.png", depth)
        texts = PngInfo()
        texts.add_text("labels", json.dumps(LABELS))
        Image.fromarray(objects).save(place / "segmentation.png", pnginfo=texts)
        K = intrinsics(size, cx=0.5 + 0.0313 * number, cy=0.5 - 0.0217 * number)
        (place / "meta.json").write_text(json.dumps({"intrinsics": K.tolist()}))
    (folder / ".index.txt").write_text("\n".join(names) + "\n")
    return folder
