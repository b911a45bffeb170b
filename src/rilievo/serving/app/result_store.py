"""Results that visitors find at addresses, on a bounded part of the disk.

Everything here runs in the thread of the event loop, so nothing is locked.
"""

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
_MAX_GROUPS = 4096


@dataclass(eq=False, slots=True, kw_only=True)
class StoredResult:
    """A folder with the files of one result, which a visitor finds by its id.

    Attributes:
        id: 128 random bits, as part of an address.
        client: Visitor to whom the bytes on the disk are counted.
        size: Bytes that are reserved for the files.
        last_used: Time of the last use, from ``time.monotonic``.
        pins: How many requests need the files now; files with pins are not deleted.
        key: 128 random bits that the maker of the result knows, and needs to change ``marks``.
        marks: Measured lines and the view, as the fragment of an address.
    """

    id: str
    path: Path
    name: str
    client: str
    size: int
    last_used: float = field(default_factory=time.monotonic)
    pins: int = 0
    is_removed: bool = False
    key: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    marks: str = ""


class ResultStore:
    """Results by id.

    A new result that does not fit takes the room of the least recently used ones of the client that
    has reserved most.
    """

    def __init__(self, folder: Path, *, max_bytes: int, minutes: float | int) -> None:
        """Begin empty; results that nobody uses for ``minutes`` are deleted."""
        self.folder = folder
        self._keep_minutes = minutes
        self._disk = Disk(max_bytes)
        self._results: dict[str, StoredResult] = {}
        self._groups: OrderedDict[str, Sequence[str]] = OrderedDict()
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def reserved_bytes(self) -> int:
        """Bytes that are reserved for all results."""
        return self._disk.reserved_bytes

    def create(self, name: str, client: str, size: int) -> StoredResult:
        """Make a result without files, whose pin the caller releases; refuse it without room."""
        self._reserve_bytes_removing_oldest(client, size)
        id = secrets.token_urlsafe(16)
        result = StoredResult(
            id=id, path=self.folder / id, name=name, client=client, size=size, pins=1
        )
        result.path.mkdir(mode=0o700)
        self._results[id] = result
        return result

    def find(self, id: str) -> StoredResult:
        """Return the result of an id and mark it as used now, or raise ``Refusal``."""
        result = self._results.get(id)
        if result is not None:
            result.last_used = time.monotonic()
            return result
        if _ID.fullmatch(id) is None:
            raise Refusal(404, "no result has such an id: 'id' of an answer names a result")
        raise Refusal(
            404,
            f"this result is not here any more: unused results are deleted after "
            f"{self._keep_minutes:g} minutes; give the file again",
        )

    def create_group(self, ids: Sequence[str]) -> str:
        """Give results that are shown together an id of their own, and return it."""
        id = secrets.token_urlsafe(16)
        self._groups[id] = [self.find(member).id for member in ids]
        if len(self._groups) > _MAX_GROUPS:
            self._groups.popitem(last=False)
        return id

    def group_members(self, id: str) -> Sequence[str] | None:
        """Ids of the results of a group; None if the id is not that of a group."""
        return self._groups.get(id)

    def replace_marks(self, id: str, key: str, marks: str) -> None:
        """Replace the marks of a result; refuse a wrong key, and malformed marks."""
        result = self.find(id)
        if not secrets.compare_digest(result.key.encode(), key.encode()):
            raise Refusal(403, "only who made a result changes its marks: 'key' of an answer")
        if _MARKS.fullmatch(marks) is None:
            raise Refusal(400, "marks are the fragment of the page's address, at most 4000 letters")
        result.marks = marks

    @contextmanager
    def pinned(self, id: str) -> Iterator[StoredResult]:
        """Context in which the files of a result are not deleted."""
        result = self.find(id)
        result.pins += 1
        try:
            yield result
        finally:
            self.release(result)

    def release(self, result: StoredResult) -> None:
        """Give up one pin, and delete the files if the result was removed meanwhile."""
        result.pins -= 1
        result.last_used = time.monotonic()
        if result.is_removed:
            self._delete_files_unless_pinned(result)

    def resize(self, result: StoredResult, size: int) -> None:
        """Change the bytes that are reserved for a pinned result; refuse them without room."""
        self._reserve_bytes_removing_oldest(result.client, size - result.size)
        result.size = size

    def __contains__(self, id: object) -> bool:
        return id in self._results

    def remove(self, result: StoredResult) -> None:
        """Forget a result; its files are deleted now, or once nobody has them pinned."""
        result.is_removed = True
        self._results.pop(result.id, None)
        self._delete_files_unless_pinned(result)

    def remove_unused(self) -> None:
        """Remove the results that nobody has used for too long."""
        earliest = time.monotonic() - 60 * self._keep_minutes
        for result in list(self._results.values()):
            if result.last_used < earliest and not result.pins:
                self.remove(result)

    def _delete_files_unless_pinned(self, result: StoredResult) -> None:
        if not result.pins:
            shutil.rmtree(result.path, ignore_errors=True)
            self._disk.reserve(result.client, -result.size)
            result.size = 0

    def _reserve_bytes_removing_oldest(self, client: str, size: int) -> None:
        """Reserve bytes of the disk; remove results until there is room."""
        while True:
            try:
                self._disk.reserve(client, size)
                return
            except Refusal as refusal:
                greediest = self._disk.greediest_client(client, size)
                oldest = self._least_recently_used_unpinned(greediest)
                is_larger_than_allowed = refusal.status == 413
                if is_larger_than_allowed or oldest is None:
                    raise
                self.remove(oldest)

    def _least_recently_used_unpinned(self, client: str) -> StoredResult | None:
        unpinned = [
            result
            for result in self._results.values()
            if result.client == client and not result.pins
        ]
        return min(unpinned, key=lambda result: result.last_used, default=None)
