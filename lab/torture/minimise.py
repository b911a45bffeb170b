"""A broken file made as small and as like the good one as the same defect allows."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

from lab.torture.reader import Reader
from lab.torture.settings import Settings
from lab.torture.worker import BAD, Outcome, Sandbox, broken_files, judged

_TRIES = 150


def minimised(reader: Reader, found: Outcome, settings: Settings) -> dict[str, bytes]:
    """The file of a case, shrunk; as it was where the process itself was lost to it.

    Runs in this process, so only for what ended in an exception.
    """
    with tempfile.TemporaryDirectory(dir=settings.work) as base:
        sandbox = Sandbox(Path(base))
        sandbox.begin(reader)
        [(name, content)] = broken_files(reader, sandbox.good, settings.seed, found.case).items()
        if not found.trace.startswith("Traceback"):
            return {name: content}

        def is_bad(tried: bytes) -> bool:
            sandbox.put({name: tried})
            outcome = judged(reader, sandbox, found.case)
            return outcome.verdict == BAD and outcome.where == found.where

        return {name: _shrunk(content, sandbox.good[name], is_bad)}


def _shrunk(content: bytes, good: bytes, is_bad: Callable[[bytes], bool]) -> bytes:
    """Take away what is not needed for the defect, in ever smaller pieces."""
    if not is_bad(content):
        return content  # it was a matter of place or of memory
    left = _TRIES
    size = max(len(content) // 2, 1)
    while size and left > 0:
        for tried in _without(content, good, size):
            left -= 1
            if left < 0:
                break
            if is_bad(tried):
                content = tried
                break
        else:
            size //= 2
    return content


def _without(content: bytes, good: bytes, size: int) -> Iterator[bytes]:
    """Contents with one piece of this size removed, or replaced by that of the good file."""
    for at in range(0, len(content), size):
        if len(content) == len(good) and content[at : at + size] != good[at : at + size]:
            yield content[:at] + good[at : at + size] + content[at + size :]
    for at in range(0, len(content), size):
        yield content[:at] + content[at + size :]
