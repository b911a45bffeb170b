"""Detects depth in the wrong unit by its magnitude."""

FARTHEST = 200.0
"""Largest plausible mean or median depth [m]; sensors do not measure beyond."""
NEAREST = 0.02
"""Least plausible mean or median depth [m]; photographs of scenes are not taken from nearer."""

TOO_FAR = (
    f"true depth is above {FARTHEST:g} m in the middle: it looks like millimetres or raw counts "
    "read as metres; check the scale"
)
TOO_NEAR = (
    f"true depth is below {NEAREST * 100:g} cm in the middle: it looks like metres that were "
    "divided once too often; check the scale"
)


def unit_doubt(middle: float) -> str | None:
    """Warning about true depth with this mean or median [m]; None where it is plausible."""
    if middle > FARTHEST:
        return TOO_FAR
    return TOO_NEAR if middle < NEAREST else None
