"""Results that visitors find at addresses, in a bounded amount of disk space.

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
from http import HTTPStatus
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
        client: Visitor whose share of the disk space the files take.
        size: Disk space that is reserved for the files [bytes].
        last_used: Time of the last use (``time.monotonic``).
        num_pins: Number of requests that need the files now; pinned files are not deleted.
        is_removed: Whether it was removed from the store while its files were pinned.
        key: 128 random bits. Only whoever created the result gets them, and may change ``marks``.
        marks: Measured lines and the view on the page, as a URL fragment.
    """

    id: str
    path: Path
    name: str
    client: str
    size: int
    last_used: float = field(default_factory=time.monotonic)
    num_pins: int = 0
    is_removed: bool = False
    key: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    marks: str = ""


class ResultStore:
    """Results by id.

    If there is no space for a new result, the least recently used results of the client that holds
    most space are deleted.
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
        """Create a result without files, pinned; the caller releases it."""
        self._reserve_and_evict(client, size)
        result_id = secrets.token_urlsafe(16)
        path = self.folder / result_id
        result = StoredResult(
            id=result_id, path=path, name=name, client=client, size=size, num_pins=1
        )
        result.path.mkdir(mode=0o700)
        self._results[result_id] = result
        return result

    def find(self, result_id: str) -> StoredResult:
        """Return the result with an id and mark it as used now, or raise a ``Refusal``."""
        result = self._results.get(result_id)
        if result is not None:
            result.last_used = time.monotonic()
            return result
        if _ID.fullmatch(result_id) is None:
            raise Refusal(404, "no result has this id: use the 'id' that the server returned")
        raise Refusal(
            404,
            "this result no longer exists: upload the file again (unused results are deleted after "
            f"{self._keep_minutes:g} min, or earlier if the server needs the space)",
        )

    def create_group(self, ids: Sequence[str]) -> str:
        """Give results that are shown together a common id, and return it."""
        group_id = secrets.token_urlsafe(16)
        self._groups[group_id] = [self.find(member_id).id for member_id in ids]
        if len(self._groups) > _MAX_GROUPS:
            self._groups.popitem(last=False)  # the oldest one
        return group_id

    def group_members(self, group_id: str) -> Sequence[str] | None:
        """Ids of the results of a group, or None if there is no group with this id."""
        return self._groups.get(group_id)

    def replace_marks(self, result_id: str, key: str, marks: str) -> None:
        """Replace the marks of a result."""
        result = self.find(result_id)
        if not secrets.compare_digest(result.key.encode(), key.encode()):
            raise Refusal(
                403,
                "only the creator of a result can change its marks: send the 'key' that the server "
                "returned with the result",
            )
        if _MARKS.fullmatch(marks) is None:
            raise Refusal(
                400,
                "the marks must be the fragment of the page's address, of at most 4000 characters",
            )
        result.marks = marks

    @contextmanager
    def pinned(self, result_id: str) -> Iterator[StoredResult]:
        """Keep the files of a result from being deleted while the block runs."""
        result = self.find(result_id)
        result.num_pins += 1
        try:
            yield result
        finally:
            self.release(result)

    def release(self, result: StoredResult) -> None:
        """Release one pin; delete the files if the result was removed meanwhile."""
        result.num_pins -= 1
        result.last_used = time.monotonic()
        if result.is_removed:
            self._delete_files_unless_pinned(result)

    def resize(self, result: StoredResult, size: int) -> None:
        """Change how many bytes are reserved for a pinned result, or raise a ``Refusal``."""
        self._reserve_and_evict(result.client, size - result.size)
        result.size = size

    def __contains__(self, result_id: object) -> bool:
        return result_id in self._results

    def remove(self, result: StoredResult) -> None:
        """Forget a result; its files are deleted now, or once nobody has them pinned."""
        result.is_removed = True
        self._results.pop(result.id, None)
        self._delete_files_unless_pinned(result)

    def remove_unused(self) -> None:
        """Remove the results that nobody has used for too long."""
        earliest = time.monotonic() - 60 * self._keep_minutes
        for result in list(self._results.values()):
            if result.last_used < earliest and not result.num_pins:
                self.remove(result)

    def _delete_files_unless_pinned(self, result: StoredResult) -> None:
        if not result.num_pins:
            shutil.rmtree(result.path, ignore_errors=True)
            self._disk.reserve(result.client, -result.size)
            result.size = 0

    def _reserve_and_evict(self, client: str, size: int) -> None:
        """Reserve disk space [bytes], and delete results until there is enough.

        These are the least recently used ones of the client that ``greediest_client`` names.

        Raises:
            Refusal: If the size alone exceeds the limit, or all results that could be deleted are
                in use.
        """
        while True:
            try:
                self._disk.reserve(client, size)
                return
            except Refusal as refusal:
                exceeds_limit_alone = refusal.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
                greediest = self._disk.greediest_client(client, size)
                oldest = self._least_recently_used_unpinned(greediest)
                if exceeds_limit_alone or oldest is None:
                    raise
                self.remove(oldest)

    def _least_recently_used_unpinned(self, client: str) -> StoredResult | None:
        unpinned = [
            result
            for result in self._results.values()
            if result.client == client and not result.num_pins
        ]
        return min(unpinned, key=lambda result: result.last_used, default=None)
