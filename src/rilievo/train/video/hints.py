"""Depth of a stereo pair by matching alone, to fall back on where it explains pictures better.

H. Hirschmüller, "Stereo Processing by Semiglobal Matching and Mutual Information", PAMI 2008, as
OpenCV has it. J. Watson et al., "Self-Supervised Monocular Depth Hints", ICCV 2019, match twelve
times in different ways and keep the best at each pixel; here it is done once.
"""

import numpy as np
from jaxtyping import Float32, UInt8

from rilievo.errors import MissingExtraError

_REACH = 0.2
"""Largest disparity that is looked for, as a share of the width."""
_WINDOW = 3
_SPECKLE, _JUMP = 100, 2
"""Islands of fewer pixels, which differ by more than this from what is around them, are none."""
_STEPS = 16
"""In a pixel of OpenCV's disparities, and what it wants their number to be a multiple of."""


def stereo_hint(
    target: UInt8[np.ndarray, "h w 3"],
    other: UInt8[np.ndarray, "h w 3"],
    *,
    focal: float,
    shift: float,
) -> Float32[np.ndarray, "h w"]:
    """Depth of one eye's frame, in the unit of ``shift``; 0 where nothing matches.

    Args:
        target: The frame, rectified.
        other: The other eye's.
        focal: fx [px].
        shift: x of the other camera's frame less x of this one's for one point: negative where
            this is the left eye.

    Raises:
        MissingExtraError: If OpenCV is not installed.
    """
    try:
        import cv2
    except ImportError as missing:
        raise MissingExtraError("depth hints", "video") from missing
    # The matcher is made for left eyes; a mirrored right eye is one.
    left, right = (target, other) if shift < 0 else (target[:, ::-1], other[:, ::-1])
    matcher = cv2.StereoSGBM.create(
        minDisparity=0,
        numDisparities=_STEPS * max(1, round(_REACH * target.shape[1] / _STEPS)),
        blockSize=_WINDOW,
        P1=8 * 3 * _WINDOW**2,
        P2=32 * 3 * _WINDOW**2,
        disp12MaxDiff=1,
        speckleWindowSize=_SPECKLE,
        speckleRange=_JUMP,
    )
    found = matcher.compute(np.ascontiguousarray(left), np.ascontiguousarray(right))
    disparity = found.astype(np.float32) / _STEPS
    matched = disparity > 0
    depth = np.where(matched, focal * abs(shift) / np.where(matched, disparity, 1), 0)
    depth = depth.astype(np.float32)
    return depth if shift < 0 else np.ascontiguousarray(depth[:, ::-1])
