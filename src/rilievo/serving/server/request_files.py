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
_MAX_STARTING_SECONDS = 60.0
"""Age up to which a folder without a lock may belong to a server that is just starting [s]."""


class RequestFolder:
    """Folder of one request, with the disk space that is reserved for it."""

    def __init__(self, path: Path, disk: "Disk", client: str) -> None:
        self.path = path
        self._disk = disk
        self._client = client
        self._reserved_bytes = 0

    def set_reserved_bytes(self, total: int) -> None:
        """Change the reservation for all files of the folder to ``total`` bytes."""
        self._disk.reserve(self._client, total - self._reserved_bytes)
        self._reserved_bytes = total

    def remove_files(self) -> None:
        """Remove the files; one that is open can be read to its end, except on Windows."""
        shutil.rmtree(self.path, ignore_errors=True)

    def remove(self) -> None:
        """Remove the files and release the disk space."""
        self.remove_files()
        self.set_reserved_bytes(0)


class Disk:
    """Disk space that the requests and results of each client have reserved."""

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._reserved: dict[str, int] = {}

    @property
    def reserved_bytes(self) -> int:
        """Number of bytes that all clients have reserved."""
        with self._lock:
            return sum(self._reserved.values())

    def greediest_client(self, client: str, count: int) -> str:
        """Client whose results are deleted first so that ``client`` can reserve ``count`` bytes.

        It is ``client`` itself if it would hold more than half of the disk space, and otherwise the
        client that holds most.
        """
        with self._lock:
            if self._reserved.get(client, 0) + count > self._max_bytes // 2:
                return client
            return max(self._reserved, key=lambda name: self._reserved[name], default=client)

    def reserve(self, client: str, count: int) -> None:
        """Reserve bytes for a client; a negative ``count`` releases them.

        One client may hold half of the disk space.

        Raises:
            Refusal: With the status 413 if the request alone needs more than that, or 429 if the
                client would hold more together with its other requests, or if all clients together
                would hold more than the whole disk space.
        """
        max_client_bytes = self._max_bytes // 2
        if count > max_client_bytes:
            raise Refusal(
                413,
                f"this request needs {count / 1e6:.0f} MB of disk space, but the limit is "
                f"{self._max_bytes / 2e6:.0f} MB: request fewer outputs, or send a smaller "
                "photograph",
            )
        with self._lock:
            client_bytes = self._reserved.get(client, 0) + count
            total_bytes = sum(self._reserved.values()) + count
            is_exceeded = client_bytes > max_client_bytes or total_bytes > self._max_bytes
            if count > 0 and is_exceeded:
                raise busy_refusal("the disk space for requests and results is used up", 5)
            if client_bytes:
                self._reserved[client] = client_bytes
            else:
                self._reserved.pop(client, None)  # so that former clients take no memory


class Folders:
    """Makes the folders of requests, below the folder of the server."""

    def __init__(self, path: Path, disk: Disk) -> None:
        self.path = path
        self.disk = disk

    def make(self, client: str) -> RequestFolder:
        """Make a folder for a request, which other users cannot read."""
        return RequestFolder(Path(tempfile.mkdtemp(dir=self.path)), self.disk, client)


@contextmanager
def server_folder() -> Iterator[Path]:
    """Make a temporary folder for a server, and remove it after the block.

    Folders that killed servers have left behind are removed first.
    """
    parent = Path(tempfile.gettempdir())
    remove_dead_folders(parent)
    # The name is known before the folder exists, so that even an interruption (Ctrl-C) during mkdir
    # leaves nothing behind.
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
    """Remove the folders that killed servers have left behind; return their paths."""
    try:
        entries = [folder for folder in os.scandir(parent) if folder.name.startswith(PREFIX)]
    except OSError as error:
        raise OutputError(
            f"{parent}: cannot read this folder; set TMPDIR to another one"
        ) from error
    removed = []
    for entry in entries:
        with suppress(OSError):
            if _belongs_to_dead_server(entry):
                shutil.rmtree(entry.path)
                removed.append(Path(entry.path))
    return sorted(removed)


def _belongs_to_dead_server(entry: os.DirEntry[str]) -> bool:
    """Whether a folder belongs to this user, and no running server holds its lock."""
    status = entry.stat(follow_symlinks=False)
    if not stat.S_ISDIR(status.st_mode):
        return False
    if hasattr(os, "geteuid") and status.st_uid != os.geteuid():
        return False
    lock = Path(entry.path, _LOCK)
    if not lock.exists():
        return time.time() - status.st_mtime > _MAX_STARTING_SECONDS
    try:
        with FileLock(lock, blocking=False):
            return True
    except Timeout:  # a running server holds it
        return False
