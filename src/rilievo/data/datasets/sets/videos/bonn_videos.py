"""Videos of Bonn RGB-D Dynamic (Palazzolo et al., IROS 2019), as downloaded."""

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from rilievo.data.datasets.sets.tum import associate
from rilievo.data.datasets.sets.videos.downloads import (
    Download,
    Frames,
    Videos,
    folder_of_videos,
    stems,
)
from rilievo.data.datasets.sets.videos.extracted_lists import stored_depth
from rilievo.data.datasets.sets.videos.video_frame import VideoFrame

ASSOCIATED = "associated"
"""Variant with the depth map nearest in time, less than 20 ms away; the usual one has that of the
same place in the folder, as the authors of Video Depth Anything pair them."""
_STEPS_A_METRE = 5000.0
_SECONDS = re.compile(r"\d{1,12}\.\d{1,9}")
_NAMES = (
    "rgbd_bonn_balloon2",
    "rgbd_bonn_crowd2",
    "rgbd_bonn_crowd3",
    "rgbd_bonn_person_tracking",
    "rgbd_bonn_synchronous",
)


def _open(root: Path, variant: str) -> Videos:
    folder = folder_of_videos(root, _NAMES, "folders of Bonn RGB-D such as rgbd_bonn_balloon2")

    def frames(video: str, taken: slice) -> Frames:
        for colour, depth in _pairs(folder / video, variant, taken):
            frame = VideoFrame(
                image=folder / video / "rgb" / f"{colour}.png",
                depth=folder / video / "depth" / f"{depth}.png",
                scene=video,
                read_depth=partial(stored_depth, factor=_STEPS_A_METRE),
            )
            yield f"{video}/rgb/{colour}", frame

    return frames


def _pairs(folder: Path, variant: str, taken: slice) -> Iterator[tuple[str, str]]:
    """Times of photographs and of their depth maps."""
    colours, depths = _times(folder / "rgb"), _times(folder / "depth")
    if variant != ASSOCIATED:
        return zip(colours[taken], depths[taken], strict=False)
    partners = associate([float(each) for each in colours], [float(each) for each in depths])
    pairs = zip(colours, partners, strict=True)
    return iter([(each, depths[place]) for each, place in pairs if place is not None][taken])


def _times(folder: Path) -> list[str]:
    """Names of the pictures of a folder, which are seconds, in order."""
    return sorted(filter(_SECONDS.fullmatch, stems(folder, ".png")), key=float)


BONN = Download(videos=_NAMES, open=_open, variants=(ASSOCIATED,))
