"""Memory of a run's photographs; fewer at once where scarce."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from rilievo.errors import RilievoError
from rilievo.frozen import frozen
from rilievo.io.files import memory
from rilievo.io.files.limits import MAX_PIXELS
from rilievo.io.files.memory import in_bytes
from rilievo.io.photographs.decode import header_size
from rilievo.predicting.photographs.photos import PIXELS_AHEAD, most_at_once
from rilievo.shapes import Size


@frozen
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
        return f"{in_bytes(self.free)} of memory are free, so {count} at once is done, not more"

    def check(self, size: Size, memory_of: Callable[[Size], int]) -> None:
        """Refuse a photograph that does not fit.

        Raises:
            OptionError: If it takes more than was free.
        """
        if self.free is not None:
            _check(size, memory_of, self.free)


def photo_memory(sizes: Sequence[Size], memory_of: Callable[[Size], int]) -> PhotoMemory:
    """Compare some photographs' bytes with what is free.

    Raises:
        OptionError: If none fits alone.
    """
    free = memory.free_memory()
    sizes = sorted((size for size in sizes if math.prod(size)), key=math.prod)
    if free is None or not sizes:
        return PhotoMemory(free=free)
    usual = min(len(sizes), most_at_once(math.prod(sizes[-1])))
    if usual * memory_of(sizes[-1]) <= free:
        return PhotoMemory(free=free)
    _check(sizes[0], memory_of, free)
    largest = max((size for size in sizes if memory_of(size) <= free), key=math.prod)
    pixels = math.prod(largest)
    at_once = min(most_at_once(pixels), free // memory_of(largest))
    return PhotoMemory(free=free, at_once=at_once, pixels_ahead=min(PIXELS_AHEAD, at_once * pixels))


def size_of(source: Path) -> Size:
    """Size of a photograph's header; (0, 0) if unreadable."""
    try:
        with source.open("rb") as file:
            return header_size(file, str(source), max_pixels=MAX_PIXELS)
    except (RilievoError, OSError):
        return 0, 0


def _check(size: Size, memory_of: Callable[[Size], int], free: int) -> None:
    memory.check_memory(
        memory_of(size),
        f"the results of {size[1]}x{size[0]} pixels",
        "choose fewer outputs with {save}, or make the photograph smaller",
        free=free,
    )
