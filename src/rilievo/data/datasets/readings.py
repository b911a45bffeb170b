"""How the true depth of a dataset that nobody declared is read, of some of its images together."""

from collections import Counter
from collections.abc import Sequence

from rilievo.data.datasets.base import Dataset, spread
from rilievo.errors import RilievoError
from rilievo.io.depth_numbers import TOO_FAR, TOO_NEAR, Fact, Reading

_MOST_READ = 24
"""Images whose numbers are looked at."""


def read_facts(dataset: Dataset, ids: Sequence[str]) -> Reading:
    """Facts and doubts of a few images together, and the range of their depth.

    Facts that differ between images are all there; a doubt says in how many images it arises.
    """
    facts: dict[Fact, None] = {}
    count: Counter[str] = Counter()
    first: dict[str, str] = {}
    ends: list[float] = []
    chosen = spread(ids, _MOST_READ)
    for id in chosen:
        try:
            reading = dataset.reading(id)
        except (RilievoError, OSError):
            continue  # said where the image is read
        if reading is None:
            break
        facts |= dict.fromkeys(reading.facts)
        ends += [end for end in (reading.near, reading.far) if end is not None]
        for doubt in reading.doubts:
            # Those about the middle are for all images together, the number of pixels differs.
            kind = doubt.partition(" hold ")[2]
            if doubt not in (TOO_FAR, TOO_NEAR):
                count[kind] += 1
                first.setdefault(kind, f"{id}: {doubt}")
    doubts = [
        first[kind] if images == 1 else f"{first[kind]}; so {images} of {len(chosen)} images"
        for kind, images in count.items()
    ]
    near, far = (min(ends), max(ends)) if ends else (None, None)
    return Reading(facts=tuple(facts), doubts=tuple(doubts), near=near, far=far)
