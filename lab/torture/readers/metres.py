"""Good files of facts for measuring, which are broken: known sizes, sparse depth, boxes, poses."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from lab.torture.reader import Reader, row, sample_file, write_text
from lab.torture.readers.pictures import HEIGHT, WIDTH, colours, counts, metres, save
from rilievo.geometry.cameras.camera import assumed_camera
from rilievo.options.sensor_transform import read_sensor_transform
from rilievo.predicting.metres.size_files import read_known_of_fixed_camera
from rilievo.predicting.metres.sparse import read_sparse
from rilievo.predicting.regions.detections import read_detections

_TABLE = (
    "file,u,v,metres,along,u2,v2\na.png,10,12,2.5,,,\nb.png,5,6,1.25,ray,,\na.png,1,2,2,,30,2\n"
)


def _write_table(folder: Path) -> None:
    write_text(folder / "known.csv", _TABLE)
    for name in ("a.png", "b.png"):
        save(folder / name, colours())


def _reader(
    kind: str, file: str, write: Callable[[Path], object], unit: float | None = None
) -> Reader:
    return row(
        f"sparse depth: {kind}",
        lambda folder: write(folder / file),
        file,
        lambda folder: read_sparse(folder / file, (HEIGHT, WIDTH), unit),
        0.6,
    )


def _write_points(folder: Path) -> None:
    """Points at the pixels of a grid, as a binary PCD and a binary PLY."""
    rows, columns = np.mgrid[4:HEIGHT:9, 4:WIDTH:9].reshape(2, -1)
    points = np.stack([columns - WIDTH / 2, rows - HEIGHT / 2, np.full(len(rows), 80.0)], axis=1)
    vertices = (points / 40).astype("<f4").tobytes()
    fields = "FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nCOUNT 1 1 1\n"
    pcd = f"VERSION 0.7\n{fields}WIDTH {len(rows)}\nHEIGHT 1\nPOINTS {len(rows)}\nDATA binary\n"
    properties = "property float x\nproperty float y\nproperty float z\n"
    vertex = f"element vertex {len(rows)}\n{properties}"
    ply = f"ply\nformat binary_little_endian 1.0\n{vertex}end_header\n"
    (folder / "x.pcd").write_bytes(pcd.encode() + vertices)
    (folder / "x.ply").write_bytes(ply.encode() + vertices)


def _read_points(folder: Path) -> None:
    camera = assumed_camera((HEIGHT, WIDTH))
    for name in ("x.pcd", "x.ply"):
        read_sparse(folder / name, (HEIGHT, WIDTH), None, camera=camera)


_BOXES = {
    "x.json": '{"images": [{"id": 1, "file_name": "a.jpg"}], "categories": [{"id": 3, '
    '"name": "car"}], "annotations": [{"image_id": 1, "category_id": 3, "bbox": [1, 2, 3, 4]}]}',
    "x.csv": "file,frame,name,x1,y1,x2,y2\na.jpg,0,car,1,2,30,20\nb.jpg,,cat,3,4,20,20\n",
    "y/classes.txt": "cat\ncar\n",
    "y/a.txt": "1 0.5 0.5 0.25 0.5 0.9\n0 0.25 0.5 0.125 0.5\n",
}
_MASKS = {
    "x.json": '[{"segmentation": {"size": [6, 8], "counts": [9, 3, 36]}}, '
    '{"segmentation": {"size": [6, 8], "counts": "93T1"}}, '
    '{"segmentation": [[1, 1, 6, 1, 6, 5, 1, 5]]}]'
}


def _masks(path: Path, shape: tuple[int, int]) -> None:
    for region in read_detections(path, masks=True).regions_in(path):
        region.mask_in(shape)


READERS = (
    row(
        "boxes of a detector: COCO's JSON",
        _BOXES,
        "x.json",
        lambda f: read_detections(f / "x.json"),
    ),
    row("boxes of a detector: CSV", _BOXES, "x.csv", lambda f: read_detections(f / "x.csv")),
    row(
        "boxes of a detector: YOLO",
        _BOXES,
        "y/a.txt y/classes.txt",
        lambda f: read_detections(f / "y"),
    ),
    row(
        "masks of a detector: COCO's JSON", _MASKS, "x.json", lambda f: _masks(f / "x.json", (6, 8))
    ),
    row(
        "masks of a detector: PNG",
        lambda folder: save(folder / "x.png", (counts() // 20_000).astype(np.uint8)),
        "x.png",
        lambda f: _masks(f / "x.png", (HEIGHT, WIDTH)),
    ),
    row(
        "table of known points",
        _write_table,
        "known.csv",
        lambda folder: read_known_of_fixed_camera(folder / "known.csv"),
    ),
    sample_file("sparse depth: list", lambda path: read_sparse(path, (HEIGHT, WIDTH), None), 0.6),
    row(
        "sparse depth: points in space", _write_points, "x.pcd:bytes x.ply:bytes", _read_points, 0.6
    ),
    sample_file("pose of a sensor", read_sensor_transform, 0.6),
    _reader("PNG of counts", "x.png", lambda path: save(path, counts()), 0.001),
    _reader("npy", "x.npy", lambda path: np.save(path, metres())),
)
