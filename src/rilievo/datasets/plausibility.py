"""Depth in the wrong unit, noticed by its size."""

FARTHEST = 200.0
"""No sensor measures scenes whose middle depth [m] is larger."""
NEAREST = 0.02
"""And no photograph of a scene is taken from nearer [m]."""

TOO_FAR = (
    f"true depth is above {FARTHEST:g} m in the middle: it looks like millimetres or raw counts "
    "read as metres; check the scale"
)
TOO_NEAR = (
    f"true depth is below {NEAREST * 100:g} cm in the middle: it looks like metres that were "
    "divided once too often; check the scale"
)


def unit_doubt(middle: float) -> str | None:
    """What is odd about true depth whose mean or median [m] is this; None where nothing is."""
    if middle > FARTHEST:
        return TOO_FAR
    return TOO_NEAR if middle < NEAREST else None
