"""Folders of requests on the disk, and outputs as answers: one file, or a zip made on the way."""

import os
import secrets
import shutil
import stat
import tempfile
import threading
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from io import RawIOBase
from pathlib import Path

from filelock import FileLock, Timeout

from rilievo.errors import InputError, OptionError, OutputError
from rilievo.io.files.atomic import unwritable
from rilievo.io.outputs.save_options import SaveOptions
from rilievo.prediction import Prediction
from rilievo.prediction.output import OUTPUTS
from rilievo.prediction.saving import check_parts, is_output_installed, save
from rilievo.serving.listener.request_refusals import Refusal, busy_refusal

PREFIX = "rilievo-serve-"
_LOCK = "lock"
_YOUNG = 60.0
"""Age below which a folder may not be locked yet [s]."""


class RequestFolder:
    """Folder of one request, with its bytes."""

    def __init__(self, path: Path, disk: "Disk", client: str) -> None:
        self.path, self._disk, self._client = path, disk, client
        self._reserved = 0

    def reserve(self, count: int) -> None:
        """Set the reserved bytes, in place of earlier ones."""
        self._disk.take(self._client, count - self._reserved)
        self._reserved = count

    def remove(self) -> None:
        """Remove the files and release the bytes."""
        shutil.rmtree(self.path, ignore_errors=True)
        reserved, self._reserved = self._reserved, 0
        self._disk.take(self._client, -reserved)


class Disk:
    """Bytes of requests and results, by clients."""

    def __init__(self, most: int) -> None:
        self._most, self._lock = most, threading.Lock()
        self._taken: dict[str, int] = {}

    @property
    def reserved_bytes(self) -> int:
        """Reserved bytes."""
        with self._lock:
            return sum(self._taken.values())

    def greediest_client(self, client: str, count: int) -> str:
        """Client that leaves no room: ``client``, or who has most."""
        with self._lock:
            if self._taken.get(client, 0) + count > self._most // 2:
                return client
            return max(self._taken, key=lambda client: self._taken[client], default=client)

    def take(self, client: str, count: int) -> None:
        """Reserve bytes, or release negative ones."""
        with self._lock:
            own, all_of_them = self._taken.get(client, 0), sum(self._taken.values())
            if count > 0:
                if count > self._most // 2:
                    raise Refusal(
                        413,
                        f"this takes {count / 1e6:.0f} MB of disk, above the limit of "
                        f"{self._most / 2e6:.0f} MB: ask for fewer outputs or a smaller photograph",
                    )
                if own + count > self._most // 2 or all_of_them + count > self._most:
                    raise busy_refusal("requests and results fill the server's disk", 5)
            if own + count:
                self._taken[client] = own + count
            else:
                self._taken.pop(client, None)


class Folders:
    """Folders of requests."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self.path, self.disk = path, disk

    def make(self, client: str) -> RequestFolder:
        """Make a folder that nobody else reads."""
        return RequestFolder(Path(tempfile.mkdtemp(dir=self.path)), self.disk, client)


@contextmanager
def server_folder() -> Iterator[Path]:
    """Make a folder for the context; remove those of killed servers."""
    place = Path(tempfile.gettempdir())
    remove_dead_folders(place)
    # Named before it is made: an interruption while it is made leaves nothing.
    path = place / (PREFIX + secrets.token_hex(8))
    try:
        try:
            path.mkdir(mode=0o700)
        except OSError as error:
            raise unwritable(place, error) from error
        with FileLock(path / _LOCK):
            yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def remove_dead_folders(parent: Path) -> list[Path]:
    """Remove folders of killed servers; return their paths."""
    try:
        entries = [folder for folder in os.scandir(parent) if folder.name.startswith(PREFIX)]
    except OSError as error:
        raise OutputError(f"{parent}: cannot be read: choose another folder") from error
    removed = []
    for entry in entries:
        with suppress(OSError):
            if _belongs_to_dead_server(entry):
                shutil.rmtree(entry.path)
                removed.append(Path(entry.path))
    return sorted(removed)


def _belongs_to_dead_server(entry: os.DirEntry[str]) -> bool:
    facts = entry.stat(follow_symlinks=False)
    if not stat.S_ISDIR(facts.st_mode):
        return False
    if hasattr(os, "geteuid") and facts.st_uid != os.geteuid():
        return False
    lock = Path(entry.path, _LOCK)
    if not lock.exists():
        return time.time() - facts.st_mtime > _YOUNG
    try:
        with FileLock(lock, blocking=False):
            return True
    except Timeout:
        return False


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
        """One file, or a zip, in pieces."""
        return _zip_pieces(self.paths) if self.size is None else read_chunks(self.paths[0])

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
    sizes = (row.most_bytes_a_pixel * pixels + row.most_bytes_a_point * points for row in rows)
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


def read_chunks(path: Path) -> Iterator[bytes]:
    """Content of a file, in pieces."""
    with path.open("rb") as file:
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


def add_files_to_zip(packed: zipfile.ZipFile, pipe: Pipe, paths: Sequence[Path]) -> Iterator[bytes]:
    """Add files to a zip, in pieces."""
    for path in paths:
        facts = zipfile.ZipInfo.from_file(path, path.name)
        with packed.open(facts, "w") as entry:
            for chunk in read_chunks(path):
                entry.write(chunk)
                yield pipe.take_pieces()


def _zip_pieces(paths: Sequence[Path]) -> Iterator[bytes]:
    pipe = Pipe()
    # Pictures are compressed already, and numbers hardly shrink.
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_STORED) as packed:  # pyright: ignore
        yield from add_files_to_zip(packed, pipe, paths)
    yield pipe.take_pieces()
