"""How many photographs of a run fit into memory at once."""

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
from rilievo.io.photographs.decode import header_size

MAX_WAITING_PIXELS = 48_000_000
"""Most decoded pixels that wait for each of three stages (network, finishing, renaming), which
bounds memory."""
MAX_THREADS = 16
"""Most threads that read photographs, and most that write them."""


def thread_count() -> int:
    """Number of threads that read photographs, and of those that finish and write them."""
    cores = os.cpu_count() or 1
    return min(max(2, cores), MAX_THREADS)


def _usual_at_once(pixels: int) -> int:
    """Photographs of so many pixels that are finished at once where memory is plenty."""
    return min(thread_count(), max(1, math.ceil(MAX_WAITING_PIXELS / max(1, pixels))))


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoMemory:
    """Bounds on the photographs that a run has in memory at once.

    Attributes:
        free: Memory that was free at the beginning [bytes]; None if unknown.
        at_once: Most results that are made at once; None where memory is plenty.
        waiting_pixels: Most decoded pixels that wait at each stage; None for the usual number.
    """

    free: int | None = None
    at_once: int | None = None
    waiting_pixels: int | None = None

    @property
    def note(self) -> str:
        """Note that fewer photographs than usual are done at once; empty if there are not."""
        if self.free is None or self.at_once is None:
            return ""
        count = f"{self.at_once} photographs" if self.at_once > 1 else "one photograph"
        return f"{format_bytes(self.free)} of memory are free, so {count} at once is done, not more"

    def check(self, size: Size, memory_of: Callable[[Size], int]) -> None:
        """Check that the results of one photograph fit into memory.

        Args:
            size: Height and width of the photograph.
            memory_of: Function from a size to the memory that its results take [bytes].

        Raises:
            OptionError: If they take more than was free.
        """
        if self.free is not None:
            _check_result_memory(size, memory_of, self.free)


def photo_memory(sizes: Sequence[Size], memory_of: Callable[[Size], int]) -> PhotoMemory:
    """Decide how many photographs may be in memory at once, by their sizes and the free memory.

    Args:
        sizes: Heights and widths of some photographs of the run; (0, 0) if unknown.
        memory_of: Function from a size to the memory that its results take [bytes].

    Raises:
        OptionError: If not even the smallest photograph fits alone.
    """
    free = machine.free_memory()
    by_pixels = sorted((size for size in sizes if math.prod(size)), key=math.prod)
    if free is None or not by_pixels:
        return PhotoMemory(free=free)
    smallest, largest = by_pixels[0], by_pixels[-1]
    usual = min(len(by_pixels), _usual_at_once(math.prod(largest)))
    if usual * memory_of(largest) <= free:
        return PhotoMemory(free=free)

    _check_result_memory(smallest, memory_of, free)
    largest_that_fits = max((size for size in by_pixels if memory_of(size) <= free), key=math.prod)
    pixels = math.prod(largest_that_fits)
    at_once = min(_usual_at_once(pixels), free // memory_of(largest_that_fits))
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
    """Height and width of a photograph by its header; (0, 0) if it cannot be read."""
    try:
        check_regular(source)  # opening a pipe would wait for whoever writes into it
        with source.open("rb") as file:
            return header_size(file, str(source), max_pixels=MAX_PIXELS)
    except (RilievoError, OSError):
        return 0, 0
