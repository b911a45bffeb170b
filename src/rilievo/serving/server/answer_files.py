"""Outputs as answers: one file, or a zip that is made on the way."""

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
_LEAST = 200_000
_CHUNK = 2**18


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """Files to send and remove."""

    name: str
    media_type: str
    paths: tuple[Path, ...]
    size: int | None = None
    folder: RequestFolder

    def chunks(self) -> Iterator[bytes]:
        """One file, or a zip, in pieces; the files are removed once the last one is open."""
        if self.size is None:
            return _zip_pieces(self)
        return read_chunks(self.paths[0], self.folder.remove_files)

    def remove(self) -> None:
        """Remove the files."""
        self.folder.remove()


def file_output_names(outputs: Sequence[str]) -> tuple[str, ...]:
    """Names with ``all`` spelled out, without the JSON."""
    if "all" in outputs:
        return tuple(OUTPUTS.own)
    return tuple(name for name in outputs if name != JSON)


def most_output_bytes(names: Sequence[str], pixels: int, options: SaveOptions) -> int:
    """Upper estimate from pixels, or points of a surface."""
    points = min(pixels, options.surface_points)
    rows = [OUTPUTS[name] for name in names]
    sizes = (row.max_bytes_per_pixel * pixels + row.max_bytes_per_point * points for row in rows)
    return int(sum(sizes)) + _LEAST * len(rows)


def output_media_types() -> tuple[str, ...]:
    """Media types of all outputs, and zip."""
    return tuple(dict.fromkeys((*(row.media_type for row in OUTPUTS.own.values()), ZIP)))


def are_heavy(outputs: Sequence[str]) -> bool:
    """Whether some outputs take seconds."""
    return any(OUTPUTS[name].is_heavy for name in file_output_names(outputs))


def write(
    prediction: Prediction,
    outputs: Sequence[str],
    options: SaveOptions,
    folder: RequestFolder,
    stem: str,
) -> Written:
    """Write outputs into a request's folder, whose reserved bytes become theirs."""
    names = file_output_names(outputs)
    if "all" in outputs:
        names = tuple(name for name in names if can_write_output(prediction, name))
    check_parts(prediction, names)
    paths = save(prediction, folder.path / stem, names, options, durable=False)
    sizes = [path.stat().st_size for path in paths]
    folder.reserve(sum(sizes))
    if len(outputs) == len(names) == 1:
        paths = paths[:1]  # without its JSON
        name, size = paths[0].name, sizes[0]
        kind = OUTPUTS[names[0]].media_type
    else:
        name, size, kind = f"{stem}.zip", None, ZIP
    return Written(name=name, media_type=kind, paths=tuple(paths), size=size, folder=folder)


def can_write_output(prediction: Prediction, name: str) -> bool:
    """Whether a prediction can have an output."""
    try:
        check_parts(prediction, [name])
    except (OptionError, InputError):
        return False
    return is_output_installed(name)


def read_chunks(path: Path, on_open: Callable[[], None]) -> Iterator[bytes]:
    """Content of a file, in pieces."""
    with path.open("rb") as file:
        on_open()
        while chunk := file.read(_CHUNK):
            yield chunk


class Pipe(RawIOBase):
    """File whose pieces are taken out as they come."""

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

    def take_pieces(self) -> bytes:
        """Pieces since the last call, joined."""
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def add_files_to_zip(packed: zipfile.ZipFile, pipe: Pipe, written: Written) -> Iterator[bytes]:
    """Add files to a zip, in pieces; they are removed once the last one is open."""
    for path in written.paths:
        facts = zipfile.ZipInfo.from_file(path, path.name)
        is_last = path == written.paths[-1]
        remove = written.folder.remove_files if is_last else lambda: None
        with packed.open(facts, "w") as entry:
            for chunk in read_chunks(path, remove):
                entry.write(chunk)
                yield pipe.take_pieces()


def _zip_pieces(written: Written) -> Iterator[bytes]:
    pipe = Pipe()
    # Pictures are compressed already, and numbers hardly shrink.
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as packed:  # pyright: ignore
        yield from add_files_to_zip(packed, pipe, written)
    yield pipe.take_pieces()
