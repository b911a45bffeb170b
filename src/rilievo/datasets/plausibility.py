"""Depth in the wrong unit, noticed by its size."""

import numpy as np

_FARTHEST_MEDIAN = 200.0
_NEAREST_MEDIAN = 0.02


def unit_warning(medians: list[float]) -> str | None:
    """What is odd about the median depths [m] of some images; None where nothing is.

    No sensor measures a median of 200 m, and no photograph of a scene is taken from 2 cm: such
    numbers are millimetres, centimetres or raw counts read as metres, or metres divided twice.
    """
    if not medians:
        return None
    middle = float(np.median(medians))
    if middle > _FARTHEST_MEDIAN:
        return (
            f"half of the images have a median depth above {middle:.0f} m: these look like "
            "millimetres or raw counts read as metres; check the scale"
        )
    if middle < _NEAREST_MEDIAN:
        return (
            f"half of the images have a median depth below {middle * 100:.2g} cm: these look like "
            "metres that were divided once too often; check the scale"
        )
    return None
