"""Find how many photographs of a run fit into memory at once."""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from rilievo.arrays.shapes import Size
from rilievo.errors import RilievoError
from rilievo.errors.messages import OptionName, Text
from rilievo.io.files import machine
from rilievo.io.files.limits import MAX_PIXELS, check_regular
from rilievo.io.files.machine import format_bytes
from rilievo.io.photographs.photo import header_size

MAX_WAITING_PIXELS = 48_000_000
"""Maximum of decoded pixels that wait for each of three stages (network, finishing, renaming), so
that memory is bounded."""
MAX_THREADS = 16
"""Maximum number of threads that read photographs, and of those that write results."""


def thread_count() -> int:
    """Return the number of threads that read photographs, and of those that write results."""
    cores = os.cpu_count() or 1
    return min(max(2, cores), MAX_THREADS)


def _usual_at_once(pixels: int) -> int:
    """Return how many photographs of this size are finished at once if memory is plenty."""
    return min(thread_count(), max(1, math.ceil(MAX_WAITING_PIXELS / max(1, pixels))))


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoMemory:
    """Bounds on the photographs that a run has in memory at once.

    Attributes:
        free: Memory that was free at the beginning [bytes]; None if unknown.
        at_once: Maximum of results that are made at once; None if memory is plenty.
        waiting_pixels: Maximum of decoded pixels that wait for each stage; None for the default.
    """

    free: int | None = None
    at_once: int | None = None
    waiting_pixels: int | None = None

    @property
    def note(self) -> str:
        """Note that fewer photographs than usual are done at once; empty if that is not so."""
        if self.free is None or self.at_once is None:
            return ""
        count = f"{self.at_once} photographs" if self.at_once > 1 else "one photograph"
        return (
            f"only {format_bytes(self.free)} of memory is free, so rilievo predicts {count} "
            "at a time"
        )

    def check(self, size: Size, memory_of: Callable[[Size], int]) -> None:
        """Check that the results of one photograph fit into memory.

        ``memory_of`` maps (height, width) to the memory that the results take [bytes].

        Raises:
            OptionError: If they take more than was free.
        """
        if self.free is not None:
            _check_result_memory(size, memory_of, self.free)


def photo_memory(sizes: Sequence[Size], memory_of: Callable[[Size], int]) -> PhotoMemory:
    """Decide how many photographs may be in memory at once, by their sizes and the free memory.

    Photographs that do not fit alone are left out of the decision; they will fail.

    ``memory_of`` maps (height, width) to the memory that the results take [bytes]. Unknown sizes
    are (0, 0).

    Raises:
        OptionError: If not even the smallest photograph fits alone.
    """
    free = machine.free_memory()
    sorted_sizes = sorted((size for size in sizes if math.prod(size)), key=math.prod)
    if free is None or not sorted_sizes:
        return PhotoMemory(free=free)
    smallest, largest = sorted_sizes[0], sorted_sizes[-1]
    usual_count = min(len(sorted_sizes), _usual_at_once(math.prod(largest)))
    if usual_count * memory_of(largest) <= free:
        return PhotoMemory(free=free)

    _check_result_memory(smallest, memory_of, free)
    fitting_sizes = [size for size in sorted_sizes if memory_of(size) <= free]
    largest_fitting = max(fitting_sizes, key=math.prod)
    pixels = math.prod(largest_fitting)
    at_once = min(_usual_at_once(pixels), free // memory_of(largest_fitting))
    waiting_pixels = min(MAX_WAITING_PIXELS, at_once * pixels)
    return PhotoMemory(free=free, at_once=at_once, waiting_pixels=waiting_pixels)


def _check_result_memory(size: Size, memory_of: Callable[[Size], int], free: int) -> None:
    """Raise ``OptionError`` if the results of a photograph take more than the free memory."""
    height, width = size
    machine.check_memory(
        memory_of(size),
        f"the results of {width}x{height} pixels",
        Text("choose fewer outputs with ", OptionName("save"), ", or make the photograph smaller"),
        free=free,
    )


def photo_size(source: Path) -> Size:
    """Read height and width of a photograph from its header; (0, 0) if it cannot be read."""
    try:
        check_regular(source)  # because opening a pipe would block
        with source.open("rb") as file:
            return header_size(file, str(source), max_pixels=MAX_PIXELS)
    except (RilievoError, OSError):
        return 0, 0
