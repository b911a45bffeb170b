"""Outputs of a prediction as answers: one file as it is, several packed into a zip on the way.

The files are those of ``rilievo predict``. They lie in a folder of the request alone, which is
removed when the answer is sent.
"""

import zipfile
from collections.abc import Iterator, Mapping, Sequence
from io import RawIOBase
from pathlib import Path

from rilievo.errors import InputError, OptionError
from rilievo.frozen import frozen
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.prediction import Prediction
from rilievo.prediction.output import OUTPUTS
from rilievo.prediction.saving import check_parts, is_installed, save
from rilievo.serving.server.temporary_folders import RequestFolder

JSON = "json"

MEDIA_TYPES: Mapping[str, str] = {
    ".png": "image/png",
    ".npy": "application/x-npy",
    ".npz": "application/x-npz",
    ".tiff": "image/tiff",
    ".exr": "image/x-exr",
    ".ply": "application/x-ply",
    ".glb": "model/gltf-binary",
    ".html": "text/html; charset=utf-8",
    ".webp": "image/webp",
    ".mp4": "video/mp4",
    ".zip": "application/zip",
}
# Bytes that a file takes at most: by pixel of the photograph, and by point of a surface.
_BYTES_PER_PIXEL: Mapping[str, float] = {
    "colour": 3,
    "png16": 3,
    "npy": 4,
    "npz": 26,
    "tiff": 4.2,
    "exr": 4.2,
    "anchored": 4,
    "normals": 3,
    "normals-npy": 12,
    "confidence": 1,
    "sky": 1,
    "glb": 3,
    "html": 6,
    "turn": 26,
    "turn-mp4": 26,
    "panel": 9,
    "stereo": 6,
    "cutout": 5,
    "near16": 3,
}
_BYTES_PER_POINT: Mapping[str, float] = {
    **{"ply": 32, "splat": 70, "glb": 70, "html": 16},
    "stl": 110,
}
_UNKNOWN = 32
_LEAST = 200_000

SURFACES = frozenset({"ply", "splat", "glb", "html", "turn", "turn-mp4", "stereo"})
"""Outputs that take seconds rather than a fraction of one."""
_CHUNK = 2**18


@frozen
class Written:
    """Files that are ready to be sent, and removed afterwards."""

    name: str
    media_type: str
    paths: tuple[Path, ...]
    size: int | None = None
    folder: RequestFolder

    def chunks(self) -> Iterator[bytes]:
        """The content of the files, in pieces."""
        return _packed(self.paths) if self.size is None else read_chunks(self.paths[0])

    def remove(self) -> None:
        """Remove the files."""
        self.folder.remove()


def at_most(outputs: Sequence[str]) -> tuple[str, ...]:
    """Files that outputs may stand for, without JSON; ``all`` may be fewer."""
    if "all" in outputs:
        return tuple(OUTPUTS.own)
    return tuple(name for name in outputs if name != JSON)


def estimated_bytes(names: Sequence[str], pixels: int, options: SaveOptions) -> int:
    """Bytes that outputs take at most on the disk."""
    points = min(pixels, options.surface_points)
    each = (
        _BYTES_PER_PIXEL.get(name, 0 if name in _BYTES_PER_POINT else _UNKNOWN) * pixels
        + _BYTES_PER_POINT.get(name, 0) * points
        for name in names
    )
    return int(sum(each)) + _LEAST * len(names)


def write(
    prediction: Prediction,
    outputs: Sequence[str],
    options: SaveOptions,
    folder: RequestFolder,
    stem: str,
) -> Written:
    """Write outputs into the folder of a request, which has reserved room for them."""
    names = at_most(outputs)
    if "all" in outputs:
        names = tuple(name for name in names if can_give(prediction, name))
    check_parts(prediction, names)
    paths = save(prediction, folder.path / stem, names, options, durable=False)
    sizes = [path.stat().st_size for path in paths]
    folder.reserve(sum(sizes))
    if len(outputs) == len(names) == 1:
        paths = paths[:1]  # without its JSON
        name, size = paths[0].name, sizes[0]
        kind = MEDIA_TYPES.get(paths[0].suffix, "application/octet-stream")
    else:
        name, size, kind = f"{stem}.zip", None, MEDIA_TYPES[".zip"]
    return Written(name=name, media_type=kind, paths=tuple(paths), size=size, folder=folder)


def can_give(prediction: Prediction, name: str) -> bool:
    """Whether a prediction has the parts of an output, and its package is installed."""
    try:
        check_parts(prediction, [name])
    except (OptionError, InputError):
        return False
    return is_installed(name)


def read_chunks(path: Path) -> Iterator[bytes]:
    """The content of a file, in pieces."""
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            yield chunk


class Pipe(RawIOBase):
    """File to which a zip is written; its pieces are taken out as they come."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        """True."""
        return True

    def write(self, data: object) -> int:
        """Keep a piece."""
        piece = bytes(data)  # pyright: ignore[reportArgumentType]
        self._pieces.append(piece)
        return len(piece)

    def taken(self) -> bytes:
        """Pieces since the last call."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def zipped(packed: zipfile.ZipFile, pipe: Pipe, paths: Sequence[Path]) -> Iterator[bytes]:
    """Add files to a zip that is written to a pipe, and take its pieces out."""
    for path in paths:
        facts = zipfile.ZipInfo.from_file(path, path.name)
        with packed.open(facts, "w") as entry:
            for chunk in read_chunks(path):
                entry.write(chunk)
                yield pipe.taken()


def _packed(paths: Sequence[Path]) -> Iterator[bytes]:
    """A zip of files, piece by piece: it is never on the disk."""
    pipe = Pipe()
    # Pictures are compressed already, and numbers hardly shrink.
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as packed:  # pyright: ignore
        yield from zipped(packed, pipe, paths)
    yield pipe.taken()
