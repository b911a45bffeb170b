"""Results at addresses, bounded in bytes; all in the event loop's thread."""

import re
import secrets
import shutil
import time
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rilievo.serving.listener.request_refusals import Refusal
from rilievo.serving.server.request_files import Disk

_ID = re.compile(r"[\w-]{22}", re.ASCII)
_MARKS = re.compile(r"[a-z0-9=&;~,.-]{0,4000}")
_MOST_GROUPS = 4096


@dataclass(eq=False, slots=True, kw_only=True)
class StoredResult:
    """Result with an address.

    Attributes:
        id: 128 random bits: its address.
        client: Visitor whose share of the disk it takes.
        size: Reserved bytes.
        used: Time of its last use, of ``time.monotonic``.
        pins: Number of users that need its files.
        key: 128 random bits, by which its maker changes ``marks``.
        marks: Lines and view, as the fragment of an address.
    """

    id: str
    path: Path
    name: str
    client: str
    size: int
    used: float = field(default_factory=time.monotonic)
    pins: int = 0
    is_removed: bool = False
    key: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    marks: str = ""


class ResultStore:
    """Results by address; the oldest of whoever has most make room."""

    def __init__(self, folder: Path, *, most_bytes: int, minutes: float | int) -> None:
        self.folder, self.minutes = folder, minutes
        self._disk = Disk(most_bytes)
        self._entries: dict[str, StoredResult] = {}
        self._groups: OrderedDict[str, Sequence[str]] = OrderedDict()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def reserved_bytes(self) -> int:
        """Reserved bytes."""
        return self._disk.reserved_bytes

    def create(self, name: str, client: str, size: int) -> StoredResult:
        """Make a result, pinned and without files."""
        self._reserve_bytes_removing_oldest(client, size)
        id = secrets.token_urlsafe(16)
        entry = StoredResult(
            id=id, path=self.folder / id, name=name, client=client, size=size, pins=1
        )
        entry.path.mkdir(mode=0o700)
        self._entries[id] = entry
        return entry

    def find(self, id: str) -> StoredResult:
        """Result of an id, used now; refuses one that is missing."""
        entry = self._entries.get(id)
        if entry is None and _ID.fullmatch(id) is None:
            raise Refusal(404, "no result has such an id: 'id' of an answer names a result")
        if entry is None:
            raise Refusal(
                404,
                f"this result is not here any more: unused results are deleted after "
                f"{self.minutes:g} minutes; give the file again",
            )
        entry.used = time.monotonic()
        return entry

    def create_group(self, ids: Sequence[str]) -> str:
        """Make a group of results; return its id."""
        id = secrets.token_urlsafe(16)
        self._groups[id] = [self.find(member).id for member in ids]
        if len(self._groups) > _MOST_GROUPS:
            self._groups.popitem(last=False)
        return id

    def group_members(self, id: str) -> Sequence[str] | None:
        """Ids of a group's results; None for other ids."""
        return self._groups.get(id)

    def replace_marks(self, id: str, key: str, marks: str) -> None:
        """Replace a result's marks; refuses a wrong key."""
        entry = self.find(id)
        if not secrets.compare_digest(entry.key.encode(), key.encode()):
            raise Refusal(403, "only who made a result changes its marks: 'key' of an answer")
        if _MARKS.fullmatch(marks) is None:
            raise Refusal(400, "marks are the fragment of the page's address, at most 4000 letters")
        entry.marks = marks

    @contextmanager
    def pinned(self, id: str) -> Iterator[StoredResult]:
        """Result that is pinned in the context."""
        entry = self.find(id)
        entry.pins += 1
        try:
            yield entry
        finally:
            self.release(entry)

    def release(self, entry: StoredResult) -> None:
        """Give up one pin."""
        entry.pins -= 1
        entry.used = time.monotonic()
        if entry.is_removed:
            self._delete_files_unless_pinned(entry)

    def resize(self, entry: StoredResult, size: int) -> None:
        """Change the reserved bytes of a pinned result."""
        self._reserve_bytes_removing_oldest(entry.client, size - entry.size)
        entry.size = size

    def __contains__(self, id: object) -> bool:
        return id in self._entries

    def remove(self, entry: StoredResult) -> None:
        """Take the address away; files stay while they are pinned."""
        entry.is_removed = True
        self._entries.pop(entry.id, None)
        self._delete_files_unless_pinned(entry)

    def remove_unused(self) -> None:
        """Remove unpinned results without use for ``minutes``."""
        oldest = time.monotonic() - 60 * self.minutes
        for entry in list(self._entries.values()):
            if entry.used < oldest and not entry.pins:
                self.remove(entry)

    def _delete_files_unless_pinned(self, entry: StoredResult) -> None:
        if not entry.pins:
            shutil.rmtree(entry.path, ignore_errors=True)
            size, entry.size = entry.size, 0
            self._disk.reserve(entry.client, -size)

    def _reserve_bytes_removing_oldest(self, client: str, size: int) -> None:
        while True:
            try:
                self._disk.reserve(client, size)
                return
            except Refusal as refusal:
                oldest = self._least_recently_used_unpinned(
                    self._disk.greediest_client(client, size)
                )
                if refusal.status == 413 or oldest is None:
                    raise
                self.remove(oldest)

    def _least_recently_used_unpinned(self, client: str) -> StoredResult | None:
        own = [
            entry for entry in self._entries.values() if entry.client == client and not entry.pins
        ]
        return min(own, key=lambda entry: entry.used, default=None)
