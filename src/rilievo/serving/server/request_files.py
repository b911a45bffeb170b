"""Folders of requests on the disk, and how much disk space each client may take.

A server that is killed leaves its folders behind; the next one removes them.
"""

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
"""Name of the file in a server's folder that is locked while the server runs."""
_MIN_AGE = 60.0
"""Age from which a folder without a lock belongs to no server that is starting [s]."""


class RequestFolder:
    """Folder of one request, with the disk space that is reserved for it."""

    def __init__(self, path: Path, disk: "Disk", client: str) -> None:
        self.path, self._disk, self._client = path, disk, client
        self._reserved = 0

    def reserve(self, count: int) -> None:
        """Reserve ``count`` bytes in place of those that were reserved before.

        Raises:
            Refusal: If there is no room.
        """
        self._disk.reserve(self._client, count - self._reserved)
        self._reserved = count

    def remove_files(self) -> None:
        """Remove the files; one that is open can be read to its end, except on Windows."""
        shutil.rmtree(self.path, ignore_errors=True)

    def remove(self) -> None:
        """Remove the files and release the disk space."""
        self.remove_files()
        reserved, self._reserved = self._reserved, 0
        self._disk.reserve(self._client, -reserved)


class Disk:
    """Disk space that the requests and results of each client have reserved."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes, self._lock = max_bytes, threading.Lock()
        self._reserved: dict[str, int] = {}

    @property
    def reserved_bytes(self) -> int:
        """Number of bytes that all clients have reserved."""
        with self._lock:
            return sum(self._reserved.values())

    def greediest_client(self, client: str, count: int) -> str:
        """Client that has to give up space before ``client`` can reserve ``count`` bytes.

        It is ``client`` itself if it would have more than half, and otherwise the one with most.
        """
        with self._lock:
            if self._reserved.get(client, 0) + count > self._max_bytes // 2:
                return client
            return max(self._reserved, key=lambda name: self._reserved[name], default=client)

    def reserve(self, client: str, count: int) -> None:
        """Reserve bytes for a client; a negative number releases them.

        Raises:
            Refusal: If the client, or all together, would have too many.
        """
        with self._lock:
            client_bytes, total = self._reserved.get(client, 0), sum(self._reserved.values())
            if count > 0:
                if count > self._max_bytes // 2:
                    raise Refusal(
                        413,
                        f"this takes {count / 1e6:.0f} MB of disk, above the limit of "
                        f"{self._max_bytes / 2e6:.0f} MB: ask for fewer outputs or a smaller "
                        "photograph",
                    )
                is_client_full = client_bytes + count > self._max_bytes // 2
                if is_client_full or total + count > self._max_bytes:
                    raise busy_refusal("requests and results fill the server's disk", 5)
            if client_bytes + count:
                self._reserved[client] = client_bytes + count
            else:
                self._reserved.pop(client, None)


class Folders:
    """Makes the folders of requests, below the folder of the server."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self.path, self.disk = path, disk

    def make(self, client: str) -> RequestFolder:
        """Make a folder for a request, which other users cannot read."""
        return RequestFolder(Path(tempfile.mkdtemp(dir=self.path)), self.disk, client)


@contextmanager
def server_folder() -> Iterator[Path]:
    """Make a folder for a server, which is removed after the block.

    Folders of servers that were killed are removed before.

    Raises:
        OutputError: If the folder cannot be made.
    """
    parent = Path(tempfile.gettempdir())
    remove_dead_folders(parent)
    # It is named before it is made, so that an interruption meanwhile leaves nothing behind.
    path = parent / (PREFIX + secrets.token_hex(8))
    try:
        try:
            path.mkdir(mode=0o700)
        except OSError as error:
            raise unwritable(parent, error) from error
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
    status = entry.stat(follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        return False
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        return False
    lock = Path(entry.path, _LOCK)
    if not lock.exists():
        return time.time() - status.st_mtime > _MIN_AGE
    try:
        with FileLock(lock, blocking=False):
            return True
    except Timeout:
        return False
