"""Deletes what nobody has used for a while, and the oldest where it is too much."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
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
        for each in _files(self._uploads):
            if now - each.changed > self._seconds:
                _delete(each.path, self._uploads)
        while self.bytes() > self._most and self._drop_oldest():
            continue

    def make_room(self) -> None:
        """Look at once where the disk holds more than it may."""
        if self.bytes() > self._most:
            self.sweep()

    def bytes(self) -> int:
        """What uploads and results take on disk; a file with two names counts once."""
        folders = (self._uploads, self._desk.folder)
        found = {each.number: each.size for folder in folders for each in _files(folder)}
        return sum(found.values())

    def _drop_oldest(self) -> bool:
        oldest = min(_files(self._uploads), key=lambda each: each.changed, default=None)
        if oldest is not None:
            _delete(oldest.path, self._uploads)
            return True
        return self._desk.forget_oldest()

    def _run(self) -> None:
        while not self._end.wait(min(_EVERY, self._seconds)):
            self.sweep()


@dataclass(frozen=True, slots=True, kw_only=True)
class _File:
    """What is known of a file: size [bytes], number on its disk, time of change [s]."""

    path: Path
    size: int
    number: int
    changed: float


def _files(folder: Path) -> Iterator[_File]:
    """Every file; one that goes meanwhile is no news, nor is a folder."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            with suppress(FileNotFoundError):
                facts = path.stat(follow_symlinks=False)
                yield _File(
                    path=path, size=facts.st_size, number=facts.st_ino, changed=facts.st_mtime
                )


def _delete(path: Path, folder: Path) -> None:
    """Delete a file, and the folder that it leaves empty unless another upload came in."""
    path.unlink(missing_ok=True)
    if path.parent != folder:
        with suppress(OSError):
            path.parent.rmdir()
