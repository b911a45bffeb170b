"""Memory of a run's photographs: fewer at once where it is scarce."""

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

PIXELS_AHEAD = 48_000_000
"""Decoded pixels waiting at each of three stages, bounding memory."""
MOST_WORKERS = 16
"""Most threads that read, and that write."""


def most_at_once(pixels: int) -> int:
    """Number of photographs of so many pixels finished at once."""
    return min(thread_count(), max(1, math.ceil(PIXELS_AHEAD / max(1, pixels))))


def thread_count() -> int:
    """Number of threads that finish photographs."""
    return min(max(2, os.cpu_count() or 1), MOST_WORKERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class PhotoMemory:
    """Memory for the photographs of a run.

    Attributes:
        free: Bytes free at first.
        at_once: Results made at once.
        pixels_ahead: Decoded pixels waiting at each stage.
    """

    free: int | None = None
    at_once: int | None = None
    pixels_ahead: int | None = None

    @property
    def note(self) -> str:
        """Note for the user, if scarce."""
        if self.free is None or self.at_once is None:
            return ""
        count = f"{self.at_once} photographs" if self.at_once > 1 else "one photograph"
        return f"{format_bytes(self.free)} of memory are free, so {count} at once is done, not more"

    def check(self, size: Size, memory_of: Callable[[Size], int]) -> None:
        """Refuse a photograph that does not fit.

        Raises:
            OptionError: If it takes more than was free.
        """
        if self.free is not None:
            _check_result_memory(size, memory_of, self.free)


def photo_memory(sizes: Sequence[Size], memory_of: Callable[[Size], int]) -> PhotoMemory:
    """Bound photographs at once by free memory.

    Raises:
        OptionError: If none fits alone.
    """
    free = machine.free_memory()
    sizes = sorted((size for size in sizes if math.prod(size)), key=math.prod)
    if free is None or not sizes:
        return PhotoMemory(free=free)
    usual = min(len(sizes), most_at_once(math.prod(sizes[-1])))
    if usual * memory_of(sizes[-1]) <= free:
        return PhotoMemory(free=free)
    _check_result_memory(sizes[0], memory_of, free)
    largest = max((size for size in sizes if memory_of(size) <= free), key=math.prod)
    pixels = math.prod(largest)
    at_once = min(most_at_once(pixels), free // memory_of(largest))
    return PhotoMemory(free=free, at_once=at_once, pixels_ahead=min(PIXELS_AHEAD, at_once * pixels))


def photo_size(source: Path) -> Size:
    """Height and width by its header; (0, 0) if unreadable."""
    try:
        check_regular(source)  # opening a pipe would wait for whoever writes into it
        with source.open("rb") as file:
            return header_size(file, str(source), max_pixels=MAX_PIXELS)
    except (RilievoError, OSError):
        return 0, 0


def _check_result_memory(size: Size, memory_of: Callable[[Size], int], free: int) -> None:
    machine.check_memory(
        memory_of(size),
        f"the results of {size[1]}x{size[0]} pixels",
        Text("choose fewer outputs with ", OptionName("save"), ", or make the photograph smaller"),
        free=free,
    )
