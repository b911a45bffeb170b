"""Facts in metres: tables of points and lengths, sparse depth."""

from pathlib import Path

import numpy as np

from lab.torture.reader import Reader, row, write_text
from lab.torture.readers.pictures import HEIGHT, WIDTH, colours, counts, metres, save
from rilievo.calibration.known_csv import shared_known
from rilievo.calibration.sparse import read_sparse

_TABLE = (
    "file,u,v,metres,along,u2,v2\na.png,10,12,2.5,,,\nb.png,5,6,1.25,ray,,\na.png,1,2,2,,30,2\n"
)
_LIST = "u v metres\n10 12 2.5\n20.5, 30, 1.5 # lidar\n47 35 9e-1\n"


def _write_table(folder: Path) -> None:
    write_text(folder / "known.csv", _TABLE)
    for name in ("a.png", "b.png"):
        save(folder / name, colours())


def _reader(kind: str, file: str, form: str, unit: float | None = None) -> Reader:
    def write(folder: Path) -> None:
        path = folder / file
        match path.suffix:
            case ".png":
                save(path, counts())
            case ".npy":
                np.save(path, metres())
            case _:
                write_text(path, _LIST)

    return row(
        f"sparse depth: {kind}",
        write,
        {file: form},
        lambda folder: read_sparse(folder / file, (HEIGHT, WIDTH), unit),
        0.6,
    )


READERS = (
    row(
        "table of known points",
        _write_table,
        "known.csv",
        lambda folder: shared_known(folder / "known.csv"),
    ),
    _reader("list", "x.txt", "text"),
    _reader("PNG of counts", "x.png", "png", 0.001),
    _reader("npy", "x.npy", "npy"),
)
