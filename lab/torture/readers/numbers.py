"""Files of numbers: arrays, depth pictures, MATLAB files, laser scans."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from lab.torture.reader import Reader, row
from lab.torture.readers.pictures import colours, counts, metres, save
from rilievo.data.datasets.mat_file import Hdf5MatFile, read_mat
from rilievo.data.datasets.sets.kitti_scans import (
    project_monodepth2,
    project_nearest,
    read_velodyne,
)
from rilievo.io.depth.stored_depth import read_stored_depth
from rilievo.io.numbers import read_numbers


def _pfm(path: Path) -> None:
    path.write_bytes(b"Pf\n48 36\n-1.0\n" + metres().tobytes())


def _pgm(path: Path) -> None:
    path.write_bytes(b"P5\n# made up\n48 36\n65535\n" + counts().astype(">u2").tobytes())


def _exr(path: Path) -> None:
    import OpenEXR

    header = {"compression": OpenEXR.ZIP_COMPRESSION, "type": OpenEXR.scanlineimage}
    with OpenEXR.File(header, {"Y": metres()}) as image:
        image.write(str(path))


def _mat5(path: Path, *, packed: bool) -> None:
    import scipy.io

    cell = np.empty((1, 3), object)
    cell[0] = ["a/b", "", "c" * 30]
    data = {
        "depth": metres()[:8, :9],
        "rgb": colours()[:4, :5],
        "split": cell,
        "data": {"calib": np.eye(3), "name": "kitchen", "mask": np.ones((3, 4), bool)},
        "numbers": np.arange(12).reshape(-1, 1),
    }
    scipy.io.savemat(path, data, do_compression=packed)


def _mat73(path: Path) -> None:
    import h5py

    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in (("depths", metres()[None]), ("images", colours()[None])):
            file.create_dataset(name, data=array, chunks=True, compression="gzip")
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512))


def _read_mat5(folder: Path) -> object:
    return read_mat(folder / "x.mat")


def _read_mat73(folder: Path) -> object:
    file = Hdf5MatFile(folder / "x.mat")
    for name, shape in file.shapes().items():
        if shape:
            file.slice(name, 0)
    return read_mat(folder / "x.mat", "depths")


def _scan(path: Path) -> None:
    points = np.random.default_rng(0).uniform(-20, 20, (200, 4)).astype("<f4")
    path.write_bytes(points.tobytes())


def _read_scan(folder: Path) -> object:
    points = read_velodyne(folder / "x.bin")
    P = np.array([[50.0, 0, 24, 0], [0, 50, 18, 0], [0, 0, 1, 0]])
    P = P @ np.array([[0, -1, 0, 0], [0, 0, -1, 0], [1, 0, 0, -0.25], [0, 0, 0, 1.0]])
    return project_monodepth2(points, P, (36, 48)), project_nearest(points, P, (36, 48))


def _reader(
    kind: str, file: str, form: str, write: Callable[[Path], None], share: float = 1.0
) -> Reader:
    return row(
        f"numbers: {kind}",
        lambda folder: write(folder / file),
        {file: form},
        lambda folder: read_numbers(folder / file),
        share,
    )


def _stated(folder: Path) -> None:
    """Depth that a JSON file beside it describes."""
    save(folder / "x.png", counts())
    (folder / "x.json").write_text('{"depth": {"unit": "mm", "min": 400, "max": 6500}}')


def _with_unit(folder: Path) -> None:
    np.savez_compressed(folder / "x.npz", depth=metres(), unit="mm", K=np.eye(3))


def _values_of(path: Path) -> object:
    numbers = read_stored_depth(path)
    return numbers.values, numbers.metadata


READERS = (
    _reader("npy", "x.npy", "npy", lambda path: np.save(path, metres())),
    _reader("npz", "x.npz", "npz", lambda path: np.savez_compressed(path, depth=metres())),
    _reader("PNG of 16 bits", "x.png", "png", lambda path: save(path, counts())),
    _reader("PNG of colours", "x.png", "png", lambda path: save(path, colours()), 0.5),
    _reader("TIFF of floats", "x.tif", "tiff", lambda path: save(path, metres())),
    _reader("EXR", "x.exr", "exr", _exr),
    _reader("PFM", "x.pfm", "text", _pfm, 0.6),
    _reader("PGM", "x.pgm", "text", _pgm, 0.6),
    row(
        "depth with a JSON file beside it",
        _stated,
        {"x.png": "png", "x.json": "text"},
        lambda folder: _values_of(folder / "x.png"),
    ),
    row(
        "depth with its unit, npz",
        _with_unit,
        {"x.npz": "npz"},
        lambda folder: _values_of(folder / "x.npz"),
    ),
    row(
        "numbers: MATLAB 5",
        lambda folder: _mat5(folder / "x.mat", packed=True),
        "x.mat",
        _read_mat5,
        1.5,
    ),
    row(
        "numbers: MATLAB 5, plain",
        lambda folder: _mat5(folder / "x.mat", packed=False),
        "x.mat",
        _read_mat5,
    ),
    row(
        "numbers: MATLAB 7.3",
        lambda folder: _mat73(folder / "x.mat"),
        "x.mat:hdf5",
        _read_mat73,
        1.5,
    ),
    row(
        "numbers: scan of a laser", lambda folder: _scan(folder / "x.bin"), "x.bin", _read_scan, 0.6
    ),
)
