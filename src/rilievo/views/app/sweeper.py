"""Deletion of unused uploads and results, and of the oldest when space runs out."""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from rilievo.views.app.answers import AnswerStore

_EVERY = 30.0


class Sweeper:
    """Cleans the folder of uploads and that of answers."""

    def __init__(
        self, store: AnswerStore, uploads: Path, *, seconds: float, most_bytes: float
    ) -> None:
        """Start periodic cleaning, until closed.

        Args:
            store: Store of the answers.
            uploads: Folder of uploads, which are read within minutes, if at all.
            seconds: Time without use after which files are deleted [s].
            most_bytes: Most disk space for all files [bytes].
        """
        self._desk, self._uploads = store, uploads
        self._seconds, self._most = seconds, most_bytes
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="sweeper", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop cleaning."""
        self._end.set()
        self._thread.join()

    def sweep(self) -> None:
        """Clean once."""
        self._desk.sweep(self._seconds)
        now = time.time()
        for each in _files(self._uploads):
            if now - each.changed > self._seconds:
                _delete(each.path, self._uploads)
        while self.bytes() > self._most and self._drop_oldest():
            continue

    def make_room(self) -> None:
        """Clean now if disk use is above its limit."""
        if self.bytes() > self._most:
            self.sweep()

    def bytes(self) -> int:
        """Disk use of uploads and results; a file with two names counts once."""
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
    """Path, size [bytes], inode and time of change [s] of a file."""

    path: Path
    size: int
    number: int
    changed: float


def _files(folder: Path) -> Iterator[_File]:
    """Yield every file; folders, and files that vanish meanwhile, are skipped."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            with suppress(FileNotFoundError):
                facts = path.stat(follow_symlinks=False)
                yield _File(
                    path=path, size=facts.st_size, number=facts.st_ino, changed=facts.st_mtime
                )


def _delete(path: Path, folder: Path) -> None:
    """Delete a file, and its folder if that is empty now."""
    path.unlink(missing_ok=True)
    if path.parent != folder:
        with suppress(OSError):
            path.parent.rmdir()
