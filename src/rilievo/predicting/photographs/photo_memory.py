"""Memory that the photographs of a run take, compared with what is free.

Where little is free, fewer are done at once, down to one, and a photograph that does not fit alone
is refused without the others.
"""

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
        free: Bytes that were free before the first photograph; None where nothing says so.
        at_once: Number of photographs whose results are made at once; None for the usual number.
        pixels_ahead: Decoded pixels that may wait at each stage; None for the usual number.
    """

    free: int | None = None
    at_once: int | None = None
    pixels_ahead: int | None = None

    @property
    def note(self) -> str:
        """Note for the user; "" where memory is not scarce."""
        if self.free is None or self.at_once is None:
            return ""
        count = f"{self.at_once} photographs" if self.at_once > 1 else "one photograph"
        return f"{in_bytes(self.free)} of memory are free, so {count} at once is done, not more"

    def check(self, size: Size, memory_of: Callable[[Size], int]) -> None:
        """Refuse a photograph of a size that does not fit alone.

        Raises:
            OptionError: If its results take more than was free before the first photograph.
        """
        if self.free is not None:
            _check(size, memory_of, self.free)


def photo_memory(sizes: Sequence[Size], memory_of: Callable[[Size], int]) -> PhotoMemory:
    """Compare the memory that photographs take with what is free, before any work.

    Args:
        sizes: Sizes of some of the photographs; (0, 0) where a header cannot be read.
        memory_of: Bytes that the results of a photograph of a size take.

    Raises:
        OptionError: If none of them fits alone.
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
    """Size (height, width) that a photograph's header states; (0, 0) if it cannot be read."""
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
