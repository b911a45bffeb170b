"""Ray in the shape that rilievo uses, whose cluster does the first tasks and then fails.

Usage: python failing_ray.py PHOTOS OUTPUT predicts with Ray on a node that dies with this process.
"""

import os
import pickle
import sys
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
    def __init__(self, rows: Sequence[Any], good: int, fail: Callable[[], None]) -> None:
        self._rows, self._good, self._fail = rows, good, fail

    def map_batches(self, actor: object, **options: object) -> "_Tasks":
        """Give the tasks to actors."""
        return self

    def iter_rows(self) -> Iterator[dict[str, bytes]]:
        """Reports of the first tasks; then the cluster fails."""
        for row in self._rows[: self._good]:
            yield {"report": pickle.dumps(Report(done=len(pickle.loads(row["task"]))))}
        self._fail()


def failing_ray(
    *,
    good: int = 0,
    fail: Callable[[], None] = lambda: None,
    init: Callable[..., None] = lambda **options: None,
) -> Any:
    """Ray whose cluster does ``good`` tasks and then calls ``fail``, and cannot be left."""

    def shut_down() -> None:
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
            from_items=lambda rows, override_num_blocks: _Tasks(rows, good, fail),
        ),
    )


if __name__ == "__main__":
    ray_tasks._import_ray = lambda: failing_ray(good=2, fail=lambda: os._exit(1))
    sys.exit(main(["predict", sys.argv[1], "--ray", "local", "-o", sys.argv[2]]))
