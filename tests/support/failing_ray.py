"""Ray in the shape that rilievo uses, whose cluster does the first tasks and then fails.

Usage: python failing_ray.py PHOTOS OUTPUT predicts with Ray on a node that dies with this process.
"""

import os
import pickle
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from types import SimpleNamespace
from typing import Any

from rilievo.cli import main
from rilievo.cluster import ray_tasks
from rilievo.predicting.work_processes import Report


class RayError(Exception):
    """What all of Ray's errors are."""


class NodeDiedError(RayError):
    """What Ray raises when the node of a task dies, with its words."""

    def __str__(self) -> str:
        return (
            "Task failed due to the node (where this task was running) was dead or unavailable.\n\n"
            "The node IP: 127.0.0.1, node ID: 83c0"
        )


class _Tasks:
    def __init__(
        self, rows: Sequence[Any], good: int, fail: Callable[[], None], ended: list[str]
    ) -> None:
        self._rows, self._good, self._fail, self._ended = rows, good, fail, ended

    def map_batches(self, actor: object, **options: object) -> "_Tasks":
        """Give the tasks to actors."""
        return self

    def iter_rows(self) -> Iterator[dict[str, bytes]]:
        """Reports of the first tasks; then the cluster fails.

        As in Ray Data, a thread is told to end when the rows are closed, and ends a little later.
        """
        closed = threading.Event()

        def fetch() -> None:
            closed.wait()
            time.sleep(0.2)
            self._ended.append("thread")

        threading.Thread(target=fetch).start()
        try:
            for row in self._rows[: self._good]:
                yield {"report": pickle.dumps(Report(done=len(pickle.loads(row["task"]))))}
            self._fail()
        finally:
            closed.set()


def failing_ray(
    *,
    good: int = 0,
    fail: Callable[[], None] = lambda: None,
    init: Callable[..., None] = lambda **options: None,
    ended: list[str] | None = None,
) -> Any:
    """Ray whose cluster does ``good`` tasks and then calls ``fail``, and cannot be left.

    ``ended`` gets the names of what ends, in order: the thread that fetches rows, and Ray.
    """
    ended = [] if ended is None else ended

    def shut_down() -> None:
        ended.append("ray")
        raise ConnectionError("the node is dead")

    context = SimpleNamespace()
    return SimpleNamespace(
        init=init,
        shutdown=shut_down,
        cluster_resources=lambda: {"CPU": 1.0},
        remote=lambda **options: lambda kind: SimpleNamespace(remote=kind),
        exceptions=SimpleNamespace(RayError=RayError),
        data=SimpleNamespace(
            DataContext=SimpleNamespace(get_current=lambda: context),
            ActorPoolStrategy=lambda size: size,
            from_items=lambda rows, override_num_blocks: _Tasks(rows, good, fail, ended),
        ),
    )


if __name__ == "__main__":
    ray_tasks._import_ray = lambda: failing_ray(good=2, fail=lambda: os._exit(1))
    sys.exit(main(["predict", sys.argv[1], "--ray", "local", "-o", sys.argv[2]]))
