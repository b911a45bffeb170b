"""Model of a power cut: files that were not synced may be gone, old, truncated or zeros.

A recorder in the process under test notes each ``fsync``. After a cut,

* the bytes that a file had when it was last synced are there; what came later is there, cut short,
  or zeros from some place on;
* the names that a folder had when it was last synced are there; of those made, replaced, renamed
  or removed since, each is as it was then or as it is now. A rename is done or not done.

That is what POSIX allows; most file systems keep some more. Overwriting synced bytes in place is
not modelled (nothing does so here), nor is a folder that comes back after it was removed.
"""

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, TypeVar, cast

ROOT, JOURNAL, DIES_AT = "TORTURE_ROOT", "TORTURE_JOURNAL", "TORTURE_DIES_AT"
_CHANGES = frozenset({"open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate"})
Sync = TypeVar("Sync", bound=Callable[..., None])
"""Type of ``os.fsync`` and ``os.fdatasync``."""


class Recorder:
    """Writes down what is durable below a folder, as processes sync it."""

    def __init__(self, root: Path, journal: Path) -> None:
        self._root = str(root)
        self._kept = journal / "kept"
        self._kept.mkdir(parents=True, exist_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
        self._synced = os.open(journal / "synced.jsonl", flags)
        self._calls = os.open(journal / "calls", flags)

    def holds(self, path: object) -> bool:
        """Whether a path lies below the folder."""
        return isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self._root)

    def state(self, path: str) -> dict[str, Any] | None:
        """State that would be durable if this path were synced now; None if it is gone."""
        try:
            if os.path.isdir(path):
                entries = {entry.name: entry.inode() for entry in os.scandir(path)}
                for name in entries:
                    self._keep(os.path.join(path, name))
                return {"folder": os.stat(path).st_ino, "entries": entries}
            facts = os.stat(path)
        except FileNotFoundError:
            return None
        self._keep(path)
        return {"file": facts.st_ino, "size": facts.st_size, "time": facts.st_mtime_ns}

    def write(self, state: Mapping[str, Any] | None) -> None:
        """Note that a state has become durable."""
        if state is not None:
            os.write(self._synced, json.dumps(state).encode() + b"\n")

    def all(self) -> None:
        """Note that everything is durable, as on a disk from which the system was started."""
        for folder, _, names in os.walk(self._root):
            for path in (folder, *(os.path.join(folder, name) for name in names)):
                self.write(self.state(path))

    def count(self) -> int:
        """Count a call of any recorded process; returns the number so far."""
        os.write(self._calls, b".")
        return os.fstat(self._calls).st_size

    def _keep(self, path: str) -> None:
        """Keep a hard link to a file, so that its bytes can be restored."""
        # Another thread may have linked, renamed or removed it.
        with suppress(FileExistsError, FileNotFoundError):
            if not os.path.isdir(path):
                number = os.stat(path, follow_symlinks=False).st_ino
                os.link(path, self._kept / str(number), follow_symlinks=False)


def record_this_process() -> None:
    """Record what this process syncs, and end all of its group at the call that was asked for."""
    recorder = Recorder(Path(os.environ[ROOT]), Path(os.environ[JOURNAL]))
    process = _RecordedProcess(recorder, dies_at=int(os.environ.get(DIES_AT, "0")))
    os.mkdir = process.recorded_mkdir(os.mkdir)
    os.fsync = process.recorded_sync(os.fsync)
    os.fdatasync = process.recorded_sync(os.fdatasync)
    sys.addaudithook(process.count_change)


class _RecordedProcess:
    """Functions that stand in for those of ``os``, and note what they make durable.

    Attributes:
        dies_at: Number of the call at which the process ends; 0 for never.
    """

    def __init__(self, recorder: Recorder, dies_at: int) -> None:
        self._recorder, self.dies_at = recorder, dies_at

    def count(self) -> None:
        """Count a call, and end the group of this process if it is the one to die at."""
        if self._recorder.count() == self.dies_at:
            os.killpg(os.getpgrp(), signal.SIGKILL)

    def count_change(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Audit hook that counts calls which change the recorded folder."""
        if event not in _CHANGES or not self._recorder.holds(arguments[0]):
            return
        if event != "open" or arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            self.count()

    def recorded_sync(self, sync: Sync) -> Sync:
        """Make a function that syncs like ``sync``, and notes the state that is durable then."""

        def sync_and_record(file: Any) -> None:
            number = file if isinstance(file, int) else file.fileno()
            path = os.readlink(f"/proc/self/fd/{number}")
            if not self._recorder.holds(path):
                return sync(file)
            self.count()
            state = self._recorder.state(path)
            sync(file)
            self._recorder.write(state)

        return cast(Sync, sync_and_record)

    def recorded_mkdir(self, mkdir: Callable[..., None]) -> Callable[..., None]:
        """Make a function that makes a folder like ``mkdir``, and notes its state."""

        def make_and_record(path: Any, *arguments: Any, **options: Any) -> None:
            mkdir(path, *arguments, **options)
            if self._recorder.holds(path):
                # The number of a folder that was removed may be given to a new one.
                self._recorder.write(self._recorder.state(os.fspath(path)))

        return make_and_record


def calls_of(journal: Path) -> int:
    """Number of counted calls."""
    return (journal / "calls").stat().st_size


def cut(root: Path, journal: Path, chance: Random) -> list[str]:
    """Leave of a folder what a power cut may leave, and list the changes."""
    disk = _Disk(journal, chance)
    return [f"{path.relative_to(root)}: {what}" for path, what in disk.cut(root)]


class _Disk:
    def __init__(self, journal: Path, chance: Random) -> None:
        self._kept, self._chance = journal / "kept", chance
        self._folders: dict[int, dict[str, int]] = {}
        self._files: dict[int, tuple[int, int]] = {}
        for line in (journal / "synced.jsonl").read_bytes().split(b"\n")[:-1]:
            state = json.loads(line)
            if "folder" in state:
                self._folders[state["folder"]] = state["entries"]
            else:
                self._files[state["file"]] = (state["size"], state["time"])

    def cut(self, folder: Path) -> Iterator[tuple[Path, str]]:
        yield from self._names(folder)
        for path in sorted(folder.iterdir()):
            if path.is_symlink():
                continue
            if path.is_dir():
                yield from self.cut(path)
            else:
                yield from self._content(path)

    def _names(self, folder: Path) -> Iterator[tuple[Path, str]]:
        synced = self._folders.get(folder.stat().st_ino, {})
        now = {entry.name: entry.inode() for entry in os.scandir(folder)}
        changed = {name for name in synced | now if synced.get(name) != now.get(name)}
        while changed:
            moved = _together(min(changed), changed, synced, now)
            changed -= moved
            if self._chance.random() < 0.5:
                continue
            for name in sorted(moved):
                remove(folder / name)
            for name in sorted(moved & synced.keys()):
                kept = self._kept / str(synced[name])
                if kept.exists():
                    os.link(kept, folder / name, follow_symlinks=False)
            yield from ((folder / name, _fate(name, synced, now)) for name in sorted(moved))

    def _content(self, path: Path) -> Iterator[tuple[Path, str]]:
        facts = path.stat()
        size, time = self._files.get(facts.st_ino, (0, 0))
        if (size, time) == (facts.st_size, facts.st_mtime_ns):
            return
        what = damage(path, self._chance, after=min(size, facts.st_size))
        if what:
            yield path, what


def _together(
    first: str, changed: set[str], synced: Mapping[str, int], now: Mapping[str, int]
) -> set[str]:
    """Names that were changed by the same rename, or by several."""
    moved: set[str] = set()
    more = {first}
    while more:
        moved |= more
        numbers = {each for name in moved for each in (synced.get(name), now.get(name))} - {None}
        more = {name for name in changed - moved if numbers & {synced.get(name), now.get(name)}}
    return moved


def _fate(name: str, synced: Mapping[str, int], now: Mapping[str, int]) -> str:
    if name not in synced:
        return "gone"
    return "as it was before" if name in now else "there again"


def damage(path: Path, chance: Random, *, after: int = 0) -> str:
    """Cut a file short or fill it with zeros from some byte on; "" where chance leaves it whole."""
    size = path.stat().st_size
    at = chance.choice((after, chance.randint(after, size)))
    what = chance.choice(("", "cut", "zeros"))
    if what == "" or at == size:
        return ""
    with path.open("r+b") as file:
        file.truncate(at)
        if what == "zeros":
            file.truncate(size)
    return f"{what} from byte {at:,} of {size:,}"


def remove(path: Path) -> None:
    """Remove a file, or a folder with all that is in it, if it is there."""
    if path.is_dir() and not path.is_symlink():
        for each in path.iterdir():
            remove(each)
        path.rmdir()
    else:
        path.unlink(missing_ok=True)
