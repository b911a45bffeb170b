"""How the depth files of a dataset were interpreted, joined over its images."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence

from rilievo.data.datasets.dataset import Dataset, evenly_spread
from rilievo.errors import RilievoError
from rilievo.io.depth.interpretation import DepthInterpretation
from rilievo.io.depth.plausibility import MEDIAN_WARNINGS, odd_unit_warning

_MAX_IMAGES = 24


def join_interpretations(dataset: Dataset, ids: Sequence[str]) -> DepthInterpretation:
    """Join the properties, warnings and range of depth of at most 24 images, evenly spread.

    Images with the same warning share one line, which names the first of them.
    """
    sampled_ids = evenly_spread(ids, _MAX_IMAGES)
    by_image = _read_interpretations(dataset, sampled_ids)
    interpretations = by_image.values()
    properties = [prop for each in interpretations for prop in each.properties]
    medians = {
        image_id: interpretation.median
        for image_id, interpretation in by_image.items()
        if interpretation.median is not None
    }
    nearest = [each.nearest for each in interpretations if each.nearest is not None]
    farthest = [each.farthest for each in interpretations if each.farthest is not None]
    # The median is judged for all images together.
    unit_warning = odd_unit_warning(medians)
    warnings = _join_warnings(by_image, num_sampled=len(sampled_ids))
    if unit_warning is not None:
        warnings.append(unit_warning)
    return DepthInterpretation(
        properties=tuple(dict.fromkeys(properties)),  # each once, in their order
        warnings=tuple(warnings),
        nearest=min(nearest, default=None),
        farthest=max(farthest, default=None),
        is_metric=all(each.is_metric for each in interpretations),
        is_unit_given=any(each.is_unit_given for each in interpretations),
    )


def _read_interpretations(dataset: Dataset, ids: Sequence[str]) -> dict[str, DepthInterpretation]:
    """Interpretations of the depth files that can be read; empty if the dataset defines them."""
    by_image: dict[str, DepthInterpretation] = {}
    for image_id in ids:
        try:
            interpretation = dataset.reading(image_id)
        except (RilievoError, OSError):
            continue  # reported where the image is read
        if interpretation is None:
            break
        by_image[image_id] = interpretation
    return by_image


def _join_warnings(by_image: Mapping[str, DepthInterpretation], *, num_sampled: int) -> list[str]:
    """Warnings of the images, those that differ only in numbers once, but not those on medians."""
    image_counts: Counter[str] = Counter()
    first_warnings: dict[str, str] = {}
    for image_id, interpretation in by_image.items():
        for warning in interpretation.warnings:
            if warning in MEDIAN_WARNINGS:
                continue
            pattern = _pattern_of_warning(warning)
            image_counts[pattern] += 1
            first_warnings.setdefault(pattern, f"{image_id}: {warning}")
    warnings = []
    for pattern, count in image_counts.items():
        warning = first_warnings[pattern]
        if count > 1:
            warning += f" (applies to {count} of the {num_sampled} images sampled for this)"
        warnings.append(warning)
    return warnings


def _pattern_of_warning(warning: str) -> str:
    """Strip the numbers from a warning, which differ between images with the same warning."""
    after_hold = warning.partition(" hold ")[2]
    return after_hold or re.sub(r"\d[\d.,]*", "#", warning)
