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
        paths: The files. The client gets several files as one zip.
        size: Size of the single file [bytes]; None for a zip, which is made while it is sent.
    """

    name: str
    media_type: str
    paths: tuple[Path, ...]
    size: int | None = None
    folder: RequestFolder

    def chunks(self) -> Iterator[bytes]:
        """Yield the file or the zip in pieces. The files are removed once the last one is open."""
        if self.size is None:
            return _zip_in_pieces(self)
        return read_chunks(self.paths[0], self.folder.remove_files)

    def remove(self) -> None:
        """Remove the files and release their disk space."""
        self.folder.remove()


def file_output_names(outputs: Sequence[str]) -> tuple[str, ...]:
    """Names of the requested outputs that are files, so without JSON; ``all`` stands for all."""
    if "all" in outputs:
        return tuple(OUTPUTS.own)
    return tuple(name for name in outputs if name != JSON)


def max_output_bytes(names: Sequence[str], pixel_count: int, options: SaveOptions) -> int:
    """Upper bound on the size of outputs, for a photograph of this many pixels [bytes]."""
    point_count = min(pixel_count, options.surface_points)
    total = 0.0
    for name in names:
        output = OUTPUTS[name]
        total += output.max_bytes_per_pixel * pixel_count
        total += output.max_bytes_per_point * point_count
    return int(total) + _FIXED_BYTES * len(names)


def output_media_types() -> tuple[str, ...]:
    """Media types of all outputs, and of a zip, each once."""
    media_types = [output.media_type for output in OUTPUTS.own.values()]
    return tuple(dict.fromkeys([*media_types, ZIP]))


def have_heavy_output(outputs: Sequence[str]) -> bool:
    """Whether one of the outputs takes seconds to write."""
    return any(OUTPUTS[name].is_heavy for name in file_output_names(outputs))


def write_request_outputs(
    prediction: Prediction,
    outputs: Sequence[str],
    options: SaveOptions,
    folder: RequestFolder,
    stem: str,
) -> WrittenFiles:
    """Write outputs into the folder of a request, and reserve their exact size.

    If ``outputs`` contains "all", those that this prediction does not have are left out.
    """
    names = file_output_names(outputs)
    if "all" in outputs:
        names = tuple(name for name in names if can_write_output(prediction, name))
    check_parts(prediction, names)
    paths = save(prediction, folder.path / stem, names, options, durable=False)
    sizes = [path.stat().st_size for path in paths]
    folder.set_reserved_bytes(sum(sizes))  # in place of the estimate
    is_single_file = len(outputs) == len(names) == 1  # "json,glb" is two outputs but one file
    if is_single_file:
        return WrittenFiles(
            name=paths[0].name,
            media_type=OUTPUTS[names[0]].media_type,
            paths=(paths[0],),  # without its sidecar
            size=sizes[0],
            folder=folder,
        )
    return WrittenFiles(
        name=f"{stem}.zip",
        media_type=ZIP,
        paths=tuple(paths),
        size=None,  # the zip is made while it is sent
        folder=folder,
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
    """Write-only file in memory, whose content is taken out while more is being written.

    A zip that is written into it can be sent piece by piece, and is never in memory as a whole.
    """

    def __init__(self) -> None:
        super().__init__()
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        """Return True."""
        return True

    def write(self, data: object) -> int:
        """Keep what is written until ``take_pieces``."""
        piece = bytes(data)  # pyright: ignore[reportArgumentType]
        self._pieces.append(piece)
        return len(piece)

    def take_pieces(self) -> bytes:
        """Return what was written since the last call."""
        pieces = self._pieces
        self._pieces = []
        return b"".join(pieces)


def add_files_to_zip(packed: zipfile.ZipFile, pipe: Pipe, written: WrittenFiles) -> Iterator[bytes]:
    """Add files to a zip that is written into a pipe, and yield the zip in pieces.

    The files are removed once the last one is open.
    """

    def keep_files() -> None:
        """Do nothing, because other files still have to be opened."""

    last_path = written.paths[-1]
    for path in written.paths:
        on_open = written.folder.remove_files if path == last_path else keep_files
        info = zipfile.ZipInfo.from_file(path, path.name)
        with packed.open(info, "w") as entry:
            for chunk in read_chunks(path, on_open):
                entry.write(chunk)
                yield pipe.take_pieces()


def _zip_in_pieces(written: WrittenFiles) -> Iterator[bytes]:
    pipe = Pipe()
    # Compression is not worth its time: pictures are compressed already, and numbers hardly shrink.
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as packed:  # pyright: ignore
        yield from add_files_to_zip(packed, pipe, written)
    yield pipe.take_pieces()
