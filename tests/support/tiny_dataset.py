"""A dataset of a few small images, written by tests and read by the shortest of loaders."""

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import numpy as np

from rilievo.data.datasets.dataset import Absent, Dataset, DatasetCard, Request, checked_ids
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.records.sample import Truth

HEIGHT, WIDTH = 48, 64
K = np.array([[60.0, 0, 31.5], [0, 60.0, 23.5], [0, 0, 1]])


class Tiny(Dataset):
    """Folders of npy files: image, depth (0 is no truth), normals."""

    card: ClassVar[DatasetCard] = DatasetCard(
        name="tiny",
        title="",
        summary="",
        homepage="",
        licence="CC0-1.0",
        commercial=True,
        gigabytes=0.0,
        layout="",
        splits=("test", "other"),
        counts={"test": 6},
        variants=("default", "second"),
    )

    def __init__(self, request: Request) -> None:
        self.request = request
        names = sorted(
            path.relative_to(request.root / "image").with_suffix("").as_posix()
            for path in (request.root / "image").rglob("*.npy")
        )
        here = [name for name in names if (request.root / "depth" / f"{name}.npy").exists()]
        self.ids = checked_ids(here, str(request.root))
        self.absent = tuple(
            Absent(id=name, reason=f"depth/{name}.npy is missing")
            for name in names
            if name not in here
        )

    def image(self, id: str) -> np.ndarray:
        return self._read("image", id)

    def truth(self, id: str) -> Truth:
        depth, normals = self._read("depth", id), self._read("normals", id)
        return Truth(
            id=id,
            depth=depth,
            depth_valid=depth > 0,
            normals=normals,
            normals_valid=np.linalg.norm(normals, axis=0) > 0.5,
            camera=Camera(K=K),
        )

    def _read(self, what: str, id: str) -> np.ndarray:
        path = self.request.root / what / f"{id}.npy"
        try:
            return np.load(path)
        except (OSError, ValueError) as error:
            raise InputError(f"{path}: broken") from error


class TinyDepth(Tiny):
    """The same without normals."""

    def truth(self, id: str) -> Truth:
        return replace(super().truth(id), normals=None, normals_valid=None)


def write_tiny(root: Path, count: int = 6, *, seed: int = 0) -> dict[str, np.ndarray]:
    """Write the dataset; the true depth of each id comes back."""
    chance = np.random.default_rng(seed)
    depths = {}
    for number in range(count):
        id = f"room{number % 2}/{number:03d}"
        v, u = np.mgrid[:HEIGHT, :WIDTH]
        depth = 2 + number / 10 + np.sin(u / (9 + number)) + 0.5 * np.cos(v / 7)
        depth = (depth + chance.uniform(0, 0.05, depth.shape)).astype(np.float32)
        depth[chance.random(depth.shape) < 0.1] = 0
        normals = chance.normal(0, 0.3, (3, HEIGHT, WIDTH)) - np.array([0, 0, 1])[:, None, None]
        normals /= np.linalg.norm(normals, axis=0)
        grey = np.clip(depth * 60, 0, 255).astype(np.uint8)
        for what, array in (
            ("image", np.stack([grey, grey, 255 - grey], axis=2)),
            ("depth", depth),
            ("normals", normals.astype(np.float32)),
        ):
            path = root / what / f"{id}.npy"
            path.parent.mkdir(parents=True, exist_ok=True)
            np.save(path, array)
        depths[id] = depth
    return depths
