"""NYU Depth V2 as others write it: a tilted plane, in the bytes and the axes of every layout.

Nothing here comes from ``rilievo``; what each file holds is worked out from its description.
"""

import gzip
import pickle
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np
import scipy.io
from PIL import Image

from support import analytic

HEIGHT, WIDTH = 480, 640
K = np.array([[518.8579, 0, 325.5824], [0, 519.4696, 253.7362], [0, 0, 1]])

# No two components agree, so that a swapped axis or a lost sign shows.
NORMAL = np.array([0.36, -0.48, -0.8])


@dataclass(frozen=True)
class Scene:
    """A photograph, depth [m] with and without holes, and normals towards the camera."""

    photo: np.ndarray
    filled: np.ndarray
    raw: np.ndarray
    normals: np.ndarray


def scene(seed: int = 0) -> Scene:
    view = analytic.plane(analytic.pixel_rays(K, HEIGHT, WIDTH), NORMAL, 2.0 + seed)
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    photo = np.stack([rows % 256, columns % 256, (rows + 3 * columns + seed) % 256], axis=-1)
    raw = view.depth.copy()
    raw[100:120, 200:260] = 0
    return Scene(
        photo=photo.astype(np.uint8), filled=view.depth, raw=raw, normals=np.array(view.normals)
    )


def write_labelled(path: Path, scenes: list[Scene]) -> None:
    """Version 7.3: a block of 512 bytes, then HDF5 with MATLAB's axes the other way round."""
    count = len(scenes)
    with h5py.File(path, "w", userblock_size=512) as file:
        images = np.zeros((count, 3, WIDTH, HEIGHT), np.uint8)
        depths = np.zeros((count, WIDTH, HEIGHT), np.float32)
        raw = np.zeros((count, WIDTH, HEIGHT), np.float32)
        for n, each in enumerate(scenes):
            for channel in range(3):
                images[n, channel] = np.rot90(each.photo[:, :, channel], -1)[:, ::-1]
            depths[n] = np.rot90(each.filled, -1)[:, ::-1]
            raw[n] = np.rot90(each.raw, -1)[:, ::-1]
        for name, array in (("images", images), ("depths", depths), ("rawDepths", raw)):
            chunk = (1, *array.shape[1:])
            file.create_dataset(name, data=array, chunks=chunk, compression="gzip")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512, b" "))


def write_millimetres(path: Path, depth: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.floor(depth * 1000 + 0.5).astype(np.uint16)).save(path)


def write_photo(path: Path, photo: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(photo).save(path, **({} if path.suffix == ".png" else {"quality": 95}))


def write_sync(folder: Path, number: int, each: Scene) -> None:
    write_photo(folder / f"rgb_{number:05d}.jpg", each.photo)
    write_millimetres(folder / f"sync_depth_{number:05d}.png", each.raw)


def outward(each: Scene) -> np.ndarray:
    """Normals as (height, width, 3), away from the camera; none in the holes of the raw depth."""
    away = np.empty((HEIGHT, WIDTH, 3))
    for channel in range(3):
        away[:, :, channel] = -1.0 * each.normals[channel]
    away[each.raw == 0] = 0
    return away


def write_ladicky(path: Path, scenes: dict[int, Scene]) -> None:
    """Keys are the numbers of the images from 1; the file has them in the order given."""
    content = {
        "all_filenames": [f"{number:05d}" for number in scenes],
        "all_normals": np.stack([outward(each) for each in scenes.values()]).astype(np.float32),
        "all_valid_depth_masks": np.stack([each.raw > 0 for each in scenes.values()]),
    }
    with gzip.open(path, "wb", compresslevel=1) as file:
        pickle.dump(content, file, protocol=2)


def write_geonet_truth(folder: Path, scenes: list[Scene]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    normals = np.stack([outward(each).transpose(2, 1, 0) for each in scenes])
    masks = np.stack([(each.raw > 0).T for each in scenes]).astype(np.uint8)
    for name, array in (("norm_gt_l", normals), ("masks", masks)):
        with h5py.File(folder / f"{name}.mat", "w", userblock_size=512) as file:
            file[name] = array


def write_geonet_training(path: Path, each: Scene) -> None:
    """481 x 641, the last row and column of no meaning; the image less twice its mean."""
    pad = ((0, 1), (0, 1))
    image = each.photo.astype(np.float32)
    for channel, mean in enumerate((122.175, 116.169, 103.508)):
        image[:, :, channel] -= 2 * mean
    content = {
        "img": np.pad(image, (*pad, (0, 0))),
        "depth": np.pad(each.raw, pad, constant_values=99.0),
        "norm": np.pad(outward(each), (*pad, (0, 0)), constant_values=7.0),
        "mask": np.pad((each.raw > 0).astype(np.uint8), pad),
    }
    scipy.io.savemat(path, content, do_compression=True)
