"""CPU time that reading may take: so much for any file, and more for its pixels and its bytes.

A file of some kilobytes that costs minutes is a defect, though nothing crashes. Every case of the
campaign is held against ``a + b * pixels + c * bytes`` of its reader: pixels are what the header of
an image claims where the product goes on to decode it, bytes are those of all files of the case.
Time is that of the processor, of this process and its children; the wall says nothing on machines
that others use.
"""

import resource
import time
from collections.abc import Mapping
from dataclasses import dataclass
from fnmatch import fnmatchcase
from io import BytesIO

from rilievo.errors import RilievoError
from rilievo.io.files.limits import MAX_PIXELS
from rilievo.io.photographs.photo import header_size


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """CPU seconds that one reading may take.

    Attributes:
        file: Seconds for any file.
        megapixel: Seconds for a million pixels.
        megabyte: Seconds for a million bytes.
    """

    file: float
    megapixel: float = 0.0
    megabyte: float = 0.0

    def allowed(self, pixels: int, count: int) -> float:
        """Seconds for so many pixels and bytes."""
        return self.file + self.megapixel * pixels / 1e6 + self.megabyte * count / 1e6


# The first pattern that fits a reader's name counts. Each number is about four times the dearest of
# 20,000 inputs (docs/reliability.md), as processors differ by about two. In their order: scans of a
# bomb cost 1.1 s for 90 kB; packed texts of a PNG .17 s, its 48 million pixels .8 s; frames as PNG
# .31 s; a member of a MATLAB file that unpacks to far more 1.3 s; YAML .4 s, as it is refused above
# 130 kB, and .8 s where few bytes nest; configurations of runs .33 s, with 14 MB of weights.
COSTS: Mapping[str, Cost] = {
    "photo: JPEG*": Cost(file=0.25, megapixel=0.15, megabyte=0.3),
    "photo: *": Cost(file=0.7, megapixel=0.1, megabyte=0.5),
    "video: *": Cost(file=1.3, megapixel=0.1, megabyte=0.5),
    "numbers: MATLAB 5*": Cost(file=5.0, megabyte=0.5),
    "numbers: *": Cost(file=0.7, megapixel=0.1, megabyte=0.5),
    "*YAML*": Cost(file=2.0, megabyte=0.5),
    "*": Cost(file=1.4, megapixel=0.1, megabyte=0.5),
}


def cost_of(reader: str) -> Cost:
    """Find what a reader may cost."""
    return next(cost for pattern, cost in COSTS.items() if fnmatchcase(reader, pattern))


def pixels_of(files: Mapping[str, bytes]) -> int:
    """Most pixels that the product would decode of one of the files."""
    return max((_pixels(name, content) for name, content in files.items()), default=0)


def _pixels(name: str, content: bytes) -> int:
    try:
        height, width = header_size(BytesIO(content), name, max_pixels=MAX_PIXELS)
    except (RilievoError, MemoryError):
        return 0
    return height * width


def cpu_seconds() -> float:
    """CPU seconds of this process so far, and of its children that have ended."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime
