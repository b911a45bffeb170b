"""Pictures of a made-up evaluation: walls, their truth and a prediction."""

import numpy as np

from rilievo.errors import InputError
from rilievo.evaluation.scoring.report_pictures import ReportPictures
from rilievo.records.depth_map import DepthKind, DepthMap
from rilievo.records.sample import Truth


class Rooms(ReportPictures):
    """Pictures of walls two metres off, which are predicted at 2.5 metres; counts what is read."""

    def __init__(
        self, *, kind: DepthKind | None = DepthKind.METRIC, broken: str | None = None
    ) -> None:
        for name, value in (("depth_kind", kind), ("broken", broken), ("reads", [])):
            object.__setattr__(self, name, value)

    def photo(self, id: str) -> np.ndarray:
        self.reads.append(id)
        if id == self.broken:
            raise InputError(f"{id}.png: is cut short")
        return np.full((40, 60, 3), 90, np.uint8)

    def depth(self, id: str) -> DepthMap | None:
        if self.depth_kind is None:
            return None
        return DepthMap(values=np.full((40, 60), 2.5, np.float32), kind=self.depth_kind)

    def normals(self, id: str) -> np.ndarray | None:
        if self.depth_kind is not None:
            return None
        field = np.zeros((3, 40, 60), np.float32)
        field[0], field[2, :, 30:] = 1, -1
        field[0, :, 30:] = 0
        return field

    def sky(self, id: str) -> None:
        return None

    def truth(self, id: str) -> Truth:
        valid = np.ones((40, 60), bool)
        valid[:4] = False
        normals = np.zeros((3, 40, 60), np.float32)
        normals[2] = -1
        if self.depth_kind is None:
            return Truth(id=id, normals=normals, normals_valid=valid)
        return Truth(
            id=id,
            depth=np.where(valid, np.float32(2), np.float32(np.nan)),
            depth_valid=valid,
        )
