"""A dataset of a few npz files, for tests of what works with any dataset."""

from pathlib import Path
from zipfile import BadZipFile

import numpy as np

from rilievo.data.datasets.dataset import Absent, Dataset, DatasetCard, Request, checked_ids
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.records.sample import Truth

K = np.array([[40.0, 0, 31.5], [0, 40, 23.5], [0, 0, 1]])


class Toy(Dataset):
    """``list.txt`` names npz files with an image and a depth map [m], zero where unknown."""

    card = DatasetCard(
        name="toy",
        title="Toy (2026)",
        summary="noise",
        homepage="https://example.org/toy",
        licence="CC0-1.0",
        commercial=True,
        gigabytes=None,
        layout="list.txt\nNAME.npz",
        splits=("test", "train"),
        counts={"test": 4},
    )

    def __init__(self, request: Request) -> None:
        self.request = request
        listing = request.list_file or request.root / f"{request.split}.txt"
        if not listing.is_file():
            raise InputError(f"{listing}: expected the list of a toy dataset, found none")
        ids = checked_ids(listing.read_text().split(), str(listing))
        there = [id for id in ids if (request.root / f"{id}.npz").is_file()]
        self.ids = tuple(there)
        self.absent = tuple(
            Absent(id=id, reason=f"no {id}.npz in {request.root}") for id in ids if id not in there
        )

    def image(self, id: str) -> np.ndarray:
        return self._load(id)["image"]

    def truth(self, id: str) -> Truth:
        depth = self._load(id)["depth"]
        return Truth(id=id, depth=depth, depth_valid=depth > 0, camera=Camera(K=K))

    def _load(self, id: str) -> dict[str, np.ndarray]:
        path = self.request.root / f"{id}.npz"
        try:
            with path.open("rb") as file, np.load(file) as archive:
                return {"image": archive["image"], "depth": archive["depth"]}
        except (OSError, ValueError, KeyError, BadZipFile) as error:
            raise InputError(f"{path}: broken, fetch it again") from error


def write_toy(root: Path, names: tuple[str, ...] = ("a", "b", "c", "d"), unit: float = 1.0) -> Path:
    """Write sloping walls, nearer below; the left column of each has no depth."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "test.txt").write_text("\n".join(names))
    for seed, name in enumerate(names):
        random = np.random.default_rng(seed)
        depth = np.repeat(np.linspace(4 + seed, 1 + seed, 48)[:, None], 64, axis=1) * unit
        depth[:, 0] = 0
        image = random.integers(0, 256, (48, 64, 3), dtype=np.uint8)
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        np.savez(root / f"{name}.npz", image=image, depth=depth.astype(np.float32))
    return root
