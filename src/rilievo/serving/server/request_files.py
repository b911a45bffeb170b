"""Folders of requests on the disk; the next start removes those of a killed server."""

import os
import secrets
import shutil
import stat
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from rilievo.errors import OutputError
from rilievo.io.files.atomic import unwritable
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

    def remove_files(self) -> None:
        """Remove the files; what is open can be read to its end, except on Windows."""
        shutil.rmtree(self.path, ignore_errors=True)

    def remove(self) -> None:
        """Remove the files and release the bytes."""
        self.remove_files()
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
