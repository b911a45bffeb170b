"""Deletes what nobody has used for a while, and the oldest where it is too much."""

import threading
import time
from collections.abc import Iterator
from pathlib import Path

from rilievo.views.app.desk import Desk

_EVERY = 30.0


class Sweeper:
    """Looks after the folder of uploads and that of answers."""

    def __init__(self, desk: Desk, uploads: Path, *, seconds: float, most_bytes: float) -> None:
        """Begin to look after them, now and then, until closed.

        Args:
            desk: Of the answers.
            uploads: Files that are read within minutes, if at all.
            seconds: After which what is not used goes.
            most_bytes: That all of it may take on disk.
        """
        self._desk, self._uploads = desk, uploads
        self._seconds, self._most = seconds, most_bytes
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop looking after them."""
        self._end.set()
        self._thread.join()

    def sweep(self) -> None:
        """Look once."""
        self._desk.sweep(self._seconds)
        now = time.time()
        for path, _, changed in _files(self._uploads):
            if now - changed > self._seconds:
                _delete(path, self._uploads)
        while self.bytes() > self._most and self._drop_oldest():
            continue

    def bytes(self) -> int:
        """What uploads and results take on disk; a file with two names counts once."""
        found = {}
        for folder in (self._uploads, self._desk.folder):
            for path, size, _ in _files(folder):
                found[path.stat(follow_symlinks=False).st_ino] = size
        return sum(found.values())

    def _drop_oldest(self) -> bool:
        oldest = min(_files(self._uploads), key=lambda each: each[2], default=None)
        if oldest is not None:
            _delete(oldest[0], self._uploads)
            return True
        return self._desk.forget_oldest()

    def _run(self) -> None:
        while not self._end.wait(min(_EVERY, self._seconds)):
            self.sweep()


def _files(folder: Path) -> Iterator[tuple[Path, int, float]]:
    """Path, size [bytes] and time of change of every file; one that goes meanwhile is no news."""
    for path in list(folder.rglob("*")):
        try:
            facts = path.stat(follow_symlinks=False)
        except FileNotFoundError:
            continue
        if path.is_file():
            yield path, facts.st_size, facts.st_mtime


def _delete(path: Path, folder: Path) -> None:
    path.unlink(missing_ok=True)
    if path.parent != folder and not any(path.parent.iterdir()):
        path.parent.rmdir()
