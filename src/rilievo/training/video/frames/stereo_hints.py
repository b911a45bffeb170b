"""Hints of depth, by matching the frames of a stereo pair."""

import numpy as np
from jaxtyping import Float32, UInt8

from rilievo.errors import needing

_REACH = 0.2
"""Largest disparity that is searched for, as a share of the width."""
_WINDOW = 3
_SPECKLE, _JUMP = 100, 2
"""Speckles that are discarded: regions of fewer pixels than this, whose disparity differs by more
than this from their surroundings."""
_STEPS = 16
"""Steps per pixel of OpenCV's disparities; their number is a multiple of it too."""


def stereo_hint(
    target: UInt8[np.ndarray, "h w 3"],
    other: UInt8[np.ndarray, "h w 3"],
    *,
    focal: float,
    shift: float,
) -> Float32[np.ndarray, "h w"]:
    """Compute the depth of one frame of a rectified pair, in the unit of ``shift``.

    It is 0 where nothing matches. The other camera sees a point ``shift`` farther along x, which is
    negative where this is the left one.

    Matching is OpenCV's (H. Hirschmüller, "Stereo Processing by Semiglobal Matching and Mutual
    Information", PAMI 2008). J. Watson et al., "Self-Supervised Monocular Depth Hints", ICCV 2019,
    match twelve times in different ways and keep the best at each pixel; here it is done once.
    """
    with needing("depth hints", "train"):
        import cv2
    # The matcher expects the left frame first; a mirrored right frame is one.
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
