"""A dataset of clips: a camera that moves before a wavy wall, with poses and scenes."""

from pathlib import Path
from typing import ClassVar

import numpy as np

from rilievo.data.datasets.dataset import Dataset, DatasetCard, Request, checked_ids
from rilievo.geometry.cameras.camera import Camera
from rilievo.records.sample import Truth

SIZE = (36, 48)
K = np.array([[40.0, 0, 23.5], [0, 40.0, 17.5], [0, 0, 1]])


class Clips(Dataset):
    """SCENE/NAME.npy of depth (0 is unknown); frames move to the right and turn a little."""

    card: ClassVar[DatasetCard] = DatasetCard(
        name="clips",
        title="",
        summary="",
        homepage="",
        licence="CC0-1.0",
        commercial=True,
        gigabytes=0.0,
        layout="",
        splits=("test",),
    )

    def __init__(self, request: Request) -> None:
        self.request = request
        found = sorted(
            path.relative_to(request.root).with_suffix("").as_posix()
            for path in request.root.rglob("*.npy")
        )
        self.ids = checked_ids(found, str(request.root))

    def image(self, id: str) -> np.ndarray:
        return np.full((*SIZE, 3), 128, np.uint8)

    def truth(self, id: str) -> Truth:
        depth = np.load(self.request.root / f"{id}.npy")
        scene, _, name = id.rpartition("/")
        return Truth(
            id=id,
            depth=depth,
            depth_valid=depth > 0,
            camera=Camera(K=K),
            world_T_cam=pose(int(name)),
            scene=scene or None,
        )


def pose(frame: int) -> np.ndarray:
    angle = 0.01 * frame
    moved = np.eye(4)
    moved[:3, :3] = [
        [np.cos(angle), 0, np.sin(angle)],
        [0, 1, 0],
        [-np.sin(angle), 0, np.cos(angle)],
    ]
    moved[:3, 3] = [0.08 * frame, 0.01 * frame, 0]
    return moved


def write_clips(root: Path, frames: dict[str, int]) -> None:
    for number, (scene, count) in enumerate(frames.items()):
        chance = np.random.default_rng(number)
        (root / scene).mkdir(parents=True)
        v, u = np.mgrid[: SIZE[0], : SIZE[1]]
        for frame in range(count):
            depth = 3 + number + 0.3 * np.sin(u / 6 + frame / 3) + 0.2 * np.cos(v / 5)
            depth[chance.random(SIZE) < 0.2] = 0
            np.save(root / scene / f"{frame:03}.npy", depth.astype(np.float32))
