"""Write the outputs of a prediction, and send them as one file or as a zip."""

import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path

from rilievo.errors import InputError, OptionError
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.prediction import Prediction
from rilievo.prediction.output import OUTPUTS
from rilievo.prediction.saving import check_parts, is_output_installed, save
from rilievo.serving.server.request_files import RequestFolder

JSON = "json"
ZIP = "application/zip"
_FIXED_BYTES = 200_000
"""Size of an output besides its pixels or points, at most [bytes]."""
_CHUNK_BYTES = 2**18


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenFiles:
    """Outputs of a prediction on the disk, to be sent and then removed.

    Attributes:
        name: Name of the file that the client gets.
        paths: The files; of several, the client gets a zip.
        size: Size of the single file [bytes]; None for a zip, which is made while it is sent.
        folder: Folder with the files.
    """

    name: str
    media_type: str
    paths: tuple[Path, ...]
    size: int | None = None
    folder: RequestFolder

    def chunks(self) -> Iterator[bytes]:
        """Yield the file or the zip in pieces; files are removed once the last one is open."""
        if self.size is None:
            return _zip_pieces(self)
        return read_chunks(self.paths[0], self.folder.remove_files)

    def remove(self) -> None:
        """Remove the files and release their disk space."""
        self.folder.remove()


def file_output_names(outputs: Sequence[str]) -> tuple[str, ...]:
    """Names of the outputs that are files: without the JSON, and all of them for ``all``."""
    if "all" in outputs:
        return tuple(OUTPUTS.own)
    return tuple(name for name in outputs if name != JSON)


def max_output_bytes(names: Sequence[str], pixels: int, options: SaveOptions) -> int:
    """Size that outputs have at most, for a photograph of this many pixels [bytes]."""
    points = min(pixels, options.surface_points)
    rows = [OUTPUTS[name] for name in names]
    sizes = (row.max_bytes_per_pixel * pixels + row.max_bytes_per_point * points for row in rows)
    return int(sum(sizes)) + _FIXED_BYTES * len(rows)


def output_media_types() -> tuple[str, ...]:
    """Media types of all outputs, and zip."""
    return tuple(dict.fromkeys((*(row.media_type for row in OUTPUTS.own.values()), ZIP)))


def have_heavy_output(outputs: Sequence[str]) -> bool:
    """Whether some outputs take seconds to write."""
    return any(OUTPUTS[name].is_heavy for name in file_output_names(outputs))


def write(
    prediction: Prediction,
    outputs: Sequence[str],
    options: SaveOptions,
    folder: RequestFolder,
    stem: str,
) -> WrittenFiles:
    """Write outputs into the folder of a request, and reserve their exact size there."""
    names = file_output_names(outputs)
    if "all" in outputs:
        names = tuple(name for name in names if can_write_output(prediction, name))
    check_parts(prediction, names)
    paths = save(prediction, folder.path / stem, names, options, durable=False)
    sizes = [path.stat().st_size for path in paths]
    folder.reserve(sum(sizes))
    if len(outputs) == len(names) == 1:
        return WrittenFiles(
            name=paths[0].name,
            media_type=OUTPUTS[names[0]].media_type,
            paths=tuple(paths[:1]),  # without its sidecar
            size=sizes[0],
            folder=folder,
        )
    return WrittenFiles(
        name=f"{stem}.zip", media_type=ZIP, paths=tuple(paths), size=None, folder=folder
    )


def can_write_output(prediction: Prediction, name: str) -> bool:
    """Whether an output can be written for a prediction on this machine."""
    try:
        check_parts(prediction, [name])
    except (OptionError, InputError):
        return False
    return is_output_installed(name)


def read_chunks(path: Path, on_open: Callable[[], None]) -> Iterator[bytes]:
    """Yield the content of a file in pieces; ``on_open`` is called once it is open."""
    with path.open("rb") as file:
        on_open()
        while chunk := file.read(_CHUNK_BYTES):
            yield chunk


class Pipe(RawIOBase):
    """File in memory from which what was written is taken again, piece by piece."""

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        """Whether it can be written to: always."""
        return True

    def write(self, data: object) -> int:
        """Keep what is written until ``take_pieces``."""
        piece = bytes(data)  # pyright: ignore[reportArgumentType]
        self._pieces.append(piece)
        return len(piece)

    def take_pieces(self) -> bytes:
        """Return what was written since the last call."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def add_files_to_zip(packed: zipfile.ZipFile, pipe: Pipe, written: WrittenFiles) -> Iterator[bytes]:
    """Add files to a zip in a pipe, and yield the zip in pieces.

    The files are removed once the last one is open.
    """
    for path in written.paths:
        info = zipfile.ZipInfo.from_file(path, path.name)
        is_last = path == written.paths[-1]
        on_open = written.folder.remove_files if is_last else lambda: None
        with packed.open(info, "w") as entry:
            for chunk in read_chunks(path, on_open):
                entry.write(chunk)
                yield pipe.take_pieces()


def _zip_pieces(written: WrittenFiles) -> Iterator[bytes]:
    pipe = Pipe()
    # Pictures are compressed already, and numbers hardly shrink.
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as packed:  # pyright: ignore
        yield from add_files_to_zip(packed, pipe, written)
    yield pipe.take_pieces()
