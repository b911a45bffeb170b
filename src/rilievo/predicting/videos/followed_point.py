"""``rilievo measure clip.mp4 --distance``: a point that is followed, and its distance.

The point is tracked from frame to frame by the pyramidal Lucas-Kanade method (Bouguet 2001), and
back again. It counts as lost if it does not return, or if it leaves the picture. A lost point is
looked for in the following frames where it was last seen.
"""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.arrays.shapes import Pixels, UInt8
from rilievo.errors import CalibrationError, InputError, MissingExtraError
from rilievo.errors.messages import note_of
from rilievo.io.files.names import printable
from rilievo.measure import Measurement, distance
from rilievo.measure.measurement_records import SpellRemark, origin_record
from rilievo.prediction import Prediction
from rilievo.records.sample import Photo

Point = tuple[float, float]
"""Column and row [px]."""
_Grey = UInt8[np.ndarray, "h w"]

_WINDOW = (21, 21)
"""Size of the patch that is tracked [px]."""
_PYRAMID_LEVELS = 3
_MAX_RETURN_DISTANCE = 1.0
"""Largest distance from the start after tracking to the next frame and back [px]."""
_MAX_CORRECTION = 2.0
"""Largest correction of a position by the frame in which the point was marked [px]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FollowedPoint:
    """The point in one frame.

    Attributes:
        frame: Index of the frame.
        pixel: Where the point was found; None if it was lost.
        measured: Its distance; None if it was lost or has none.
        fault: Why there is no distance; empty if there is one.
        origin: Model, camera and calibration, as they are printed in JSON; None without a distance.
    """

    frame: int
    pixel: Point | None
    measured: Measurement | None = None
    fault: str = ""
    origin: dict[str, object] | None = None


def measure_followed_point(
    source: Path, point: Point, first_frame: int, predict: Callable[[Photo], Prediction]
) -> Iterator[FollowedPoint]:
    """Follow a point from a frame to the end of a video, and measure its distance in each frame.

    Args:
        source: Video file.
        point: Column and row in the first frame [px].
        first_frame: Index of the frame in which the point is marked.
        predict: Function that predicts a frame. Frames in which the point is lost are not
            predicted.

    Raises:
        InputError: If the video has no such frame, or cannot be read.
        CalibrationError: If the point lies outside of the picture.
        MissingExtraError: If OpenCV or PyAV is missing.
    """
    from rilievo.io.videos.live_frames import live_frames

    name = printable(source)
    tracker: _PointTracker | None = None
    frame_count = 0
    for index, pixels in enumerate(live_frames(source)):
        frame_count += 1
        if index < first_frame:
            continue
        if tracker is None:
            _require_inside(point, pixels)
            tracker = _PointTracker(pixels, point)
            position: Point | None = point
        else:
            position = tracker.follow(pixels)
        if position is None:
            yield FollowedPoint(frame=index, pixel=None, fault="the point was lost")
            continue
        yield _measure(Photo(pixels=pixels, name=f"{name} frame {index}"), index, position, predict)
    if tracker is None:
        raise InputError(
            f"it has {frame_count} frames, numbered from 0, so there is no frame {first_frame}",
            path=name,
        )


def _require_inside(point: Point, pixels: Pixels) -> None:
    height, width = pixels.shape[:2]
    u, v = point
    if not (0 <= u <= width - 1 and 0 <= v <= height - 1):
        raise CalibrationError(
            f"point {u:g},{v:g} lies outside the image: columns go from 0 to {width - 1}, and rows "
            f"from 0 to {height - 1}"
        )


def _measure(
    photo: Photo, index: int, position: Point, predict: Callable[[Photo], Prediction]
) -> FollowedPoint:
    try:
        prediction = predict(photo)
        measured = distance(prediction, position)
    except CalibrationError as error:  # for example, because no floor is visible in this frame
        return FollowedPoint(frame=index, pixel=position, fault=str(note_of(error)))
    origin = origin_record(prediction)
    return FollowedPoint(frame=index, pixel=position, measured=measured, origin=origin)


def followed_point_cells(followed: FollowedPoint) -> dict[str, object]:
    """Make a frame's row of a CSV, by column; cells are None where the point was lost."""
    cells: dict[str, object] = {
        "frame": followed.frame,
        **dict.fromkeys(("u", "v", "distance", "distance_low", "distance_high", "unit")),
        "fault": followed.fault,
    }
    if followed.pixel is not None:
        u, v = followed.pixel
        cells |= {"u": f"{u:.2f}", "v": f"{v:.2f}"}
    measured = followed.measured
    if measured is not None:
        cells |= {
            "distance": f"{measured.value:.4g}",
            "distance_low": f"{measured.low:.4g}",
            "distance_high": f"{measured.high:.4g}",
            "unit": measured.unit,
        }
    return cells


def followed_point_record(followed: FollowedPoint, spell: SpellRemark) -> dict[str, object]:
    """JSON of the point in a frame; parts are null where it was lost."""
    measured = None
    if followed.measured is not None:
        remarks = [spell(remark) for remark in followed.measured.remarks]
        unit = followed.measured.unit
        measured = {**asdict(followed.measured), "remarks": remarks, "unit": unit}
    return {
        "frame": followed.frame,
        "pixel": followed.pixel,
        "measured": measured,
        "fault": followed.fault,
        **(followed.origin or {}),
    }


class _PointTracker:
    """Point that is followed from frame to frame."""

    def __init__(self, pixels: Pixels, point: Point) -> None:
        self._cv2 = _import_opencv()
        self._marked_frame = self._grey(pixels)
        self._marked_point = np.array([[point]], np.float32)
        self._last_frame = self._marked_frame
        self._last_point = self._marked_point

    def follow(self, pixels: Pixels) -> Point | None:
        """Find the point in the next frame; None if it is lost."""
        frame = self._grey(pixels)
        found = self._track(self._last_frame, frame, self._last_point, self._last_point)
        if found is None:
            return None
        # Positions that follow each other slide. The marked frame corrects that, as long as the
        # surroundings look the same.
        corrected = self._track(self._marked_frame, frame, self._marked_point, found)
        if corrected is not None and np.linalg.norm(corrected - found) <= _MAX_CORRECTION:
            found = corrected
        self._last_frame = frame
        self._last_point = found
        return float(found[0, 0, 0]), float(found[0, 0, 1])

    def _grey(self, pixels: Pixels) -> _Grey:
        return self._cv2.cvtColor(pixels, self._cv2.COLOR_RGB2GRAY)

    def _track(
        self, first: _Grey, second: _Grey, start: np.ndarray, guess: np.ndarray
    ) -> np.ndarray | None:
        """Track a point to another frame and back again (forward-backward check).

        Args:
            first: Frame in which the point is known.
            second: Frame in which it is looked for.
            start: Its position in the first frame.
            guess: Position in the second frame from which the search starts.

        Returns:
            Its position in the second frame; None if it is not found or lies outside, or if
            tracking it back does not return to the start.
        """
        end, was_found = self._lucas_kanade(first, second, start, guess)
        returned, was_found_back = self._lucas_kanade(second, first, end, start)
        height, width = second.shape
        is_inside = bool(((end >= 0) & (end <= (width - 1, height - 1))).all())
        has_returned = float(np.linalg.norm(returned - start)) <= _MAX_RETURN_DISTANCE
        is_tracked = was_found and was_found_back and is_inside and has_returned
        return end if is_tracked else None

    def _lucas_kanade(
        self, first: _Grey, second: _Grey, start: np.ndarray, guess: np.ndarray
    ) -> tuple[np.ndarray, bool]:
        """Track a point by the pyramidal Lucas-Kanade method; return it and whether it was found.

        Points are float32 arrays (1, 1, 2) of column and row [px], as OpenCV takes them.
        """
        end, found, _ = self._cv2.calcOpticalFlowPyrLK(
            first,
            second,
            start,
            guess.copy(),
            flags=self._cv2.OPTFLOW_USE_INITIAL_FLOW,
            winSize=_WINDOW,
            maxLevel=_PYRAMID_LEVELS,
        )
        return end, bool(found[0, 0])


def _import_opencv() -> Any:
    try:
        import cv2
    except ImportError as missing:
        raise MissingExtraError("following a point", "markers") from missing
    return cv2
