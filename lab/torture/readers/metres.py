"""Facts in metres: tables of points and lengths, sparse depth."""

from collections.abc import Callable
from pathlib import Path

import numpy as np

from lab.torture.reader import Reader, row, sample_file, write_text
from lab.torture.readers.pictures import HEIGHT, WIDTH, colours, counts, metres, save
from rilievo.calibration.known_csv import shared_known
from rilievo.calibration.sparse import read_sparse

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


READERS = (
    row(
        "table of known points",
        _write_table,
        "known.csv",
        lambda folder: shared_known(folder / "known.csv"),
    ),
    sample_file("sparse depth: list", lambda path: read_sparse(path, (HEIGHT, WIDTH), None), 0.6),
    _reader("PNG of counts", "x.png", lambda path: save(path, counts()), 0.001),
    _reader("npy", "x.npy", lambda path: np.save(path, metres())),
)
