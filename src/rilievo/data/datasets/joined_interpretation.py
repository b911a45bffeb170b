"""How the depth files of a dataset were interpreted, joined over its images."""

import re
from collections import Counter
from collections.abc import Sequence

from rilievo.data.datasets.dataset import Dataset, evenly_spread
from rilievo.errors import RilievoError
from rilievo.io.depth.interpretation import DepthInterpretation, DepthProperty
from rilievo.io.depth.plausibility import MEDIAN_WARNINGS, odd_unit_warning

_MAX_IMAGES = 24


def join_interpretations(dataset: Dataset, ids: Sequence[str]) -> DepthInterpretation:
    """Join the properties, warnings and range of depth of at most 24 images, evenly spread.

    Images with the same warning share one line, which names the first of them.
    """
    sampled_ids = evenly_spread(ids, _MAX_IMAGES)
    properties: dict[DepthProperty, None] = {}  # a set that keeps the order
    image_counts: Counter[str] = Counter()
    first_warnings: dict[str, str] = {}
    medians: dict[str, float] = {}
    depths: list[float] = []
    is_metric = True
    is_unit_given = False
    for image_id in sampled_ids:
        try:
            interpretation = dataset.reading(image_id)
        except (RilievoError, OSError):
            continue  # reported where the image is read
        if interpretation is None:
            break
        properties |= dict.fromkeys(interpretation.properties)
        is_metric &= interpretation.is_metric
        is_unit_given |= interpretation.is_unit_given
        if interpretation.median is not None:
            medians[image_id] = interpretation.median
        range_ends = (interpretation.nearest, interpretation.farthest)
        depths += [depth for depth in range_ends if depth is not None]
        for warning in interpretation.warnings:
            if warning in MEDIAN_WARNINGS:
                continue  # The median is judged for all images together.
            pattern = _pattern_of_warning(warning)
            image_counts[pattern] += 1
            first_warnings.setdefault(pattern, f"{image_id}: {warning}")

    warnings = [
        first_warnings[pattern]
        if count == 1
        else f"{first_warnings[pattern]} (applies to {count} of the {len(sampled_ids)} images "
        "sampled for this)"
        for pattern, count in image_counts.items()
    ]
    warnings += filter(None, [odd_unit_warning(medians)])
    return DepthInterpretation(
        properties=tuple(properties),
        warnings=tuple(warnings),
        nearest=min(depths) if depths else None,
        farthest=max(depths) if depths else None,
        is_metric=is_metric,
        is_unit_given=is_unit_given,
    )


def _pattern_of_warning(warning: str) -> str:
    """Strip the numbers from a warning, which differ between images with the same warning."""
    after_hold = warning.partition(" hold ")[2]
    return after_hold or re.sub(r"\d[\d.,]*", "#", warning)
