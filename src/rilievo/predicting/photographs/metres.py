"""Conversion of predictions to metres, by what the user knows or the photograph's file holds.

Most photographs have no known size, so what fits depth to one (``fitting``) is imported where used.
"""

from dataclasses import replace

from rilievo.predicting.photographs.known_metres import Metres
from rilievo.prediction import Prediction
from rilievo.types import Calibration, OwnDepth


def in_metres(
    prediction: Prediction, metres: Metres, *, markers: float | None, own: OwnDepth | None
) -> tuple[Prediction, str | None]:
    """Convert by known sizes and markers of this side [m], or else by the depth in its own file.

    Returns:
        The prediction, and a remark on its metres.
    """
    if markers is None and not metres and own is None:
        return prediction, None
    from rilievo.predicting.photographs.fitting import with_markers, with_metres, with_own_depth

    if markers is not None:
        prediction, found = with_markers(prediction, markers)
        both = replace(found, known=(*found.known, *metres.known), method=None)
        metres = both if metres.known else found
    prediction, fitted = with_metres(prediction, metres)
    return with_own_depth(prediction, own) if fitted is None else (prediction, fitted.warning)


def trust(calibration: Calibration) -> str:
    """Source and expected error of metres, in words."""
    method = calibration.method
    if calibration.own_depth is not None:
        method = f"the photograph's own depth ({calibration.own_depth})"
    if calibration.expected_error is None:
        return f"metres from {method}"
    return (
        f"metres from {method}; the depth of 8 in 10 pixels should be within "
        f"{100 * calibration.expected_error:.0f} %"
    )
