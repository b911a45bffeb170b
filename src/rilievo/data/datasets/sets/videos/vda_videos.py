"""Videos of four sets as papers on video depth score them: Sintel, KITTI, Bonn, ScanNet.

Frames, caps and cuts are those of Video Depth Anything (Chen et al., CVPR 2025). The sets are read
as their authors offer them, or as its own scripts extract and list them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from rilievo.data.datasets.base import Absent, Request, own_card
from rilievo.data.datasets.photo_files import PhotoFiles
from rilievo.data.datasets.sets.videos.bonn_videos import BONN
from rilievo.data.datasets.sets.videos.downloads import USUAL, Download, downloaded_frames
from rilievo.data.datasets.sets.videos.extracted_lists import listed_frames
from rilievo.data.datasets.sets.videos.kitti_videos import KITTI
from rilievo.data.datasets.sets.videos.scannet_videos import INSIDE, SCANNET
from rilievo.data.datasets.sets.videos.sintel_videos import SINTEL
from rilievo.data.datasets.sets.videos.video_frame import VideoFrame, View
from rilievo.errors import InputError
from rilievo.io.files.limits import printable
from rilievo.types import Truth

_KITTI_PART = slice(0, 374), slice(0, 1242)


@dataclass(frozen=True, slots=True, kw_only=True)
class VideoSet:
    """One set at one length.

    Attributes:
        folder: Folder of the set, and its key in the list.
        list: Name of the authors' list.
        download: The set as it is downloaded.
        taken: Frames of each video of the download.
        most: Most frames of a video of the list.
        part: Rows and columns of the depth that are scored.
    """

    folder: str
    list: str
    download: Download
    taken: slice
    most: int
    part: tuple[slice, slice] = (slice(None), slice(None))


SETS: Mapping[str, VideoSet] = {
    "sintel": VideoSet(
        folder="sintel", list="sintel_video.json", download=SINTEL, taken=slice(100), most=100
    ),
    "kitti": VideoSet(
        folder="kitti",
        list="kitti_video.json",
        download=KITTI,
        taken=slice(110),
        most=110,
        part=_KITTI_PART,
    ),
    "kitti-500": VideoSet(
        folder="kitti",
        list="kitti_video_500.json",
        download=KITTI,
        taken=slice(500),
        most=500,
        part=_KITTI_PART,
    ),
    "bonn": VideoSet(
        folder="bonn", list="bonn_video.json", download=BONN, taken=slice(30, 140), most=110
    ),
    "bonn-500": VideoSet(
        folder="bonn", list="bonn_video_500.json", download=BONN, taken=slice(500), most=500
    ),
    "scannet": VideoSet(
        folder="scannet",
        list="scannet_video.json",
        download=SCANNET,
        taken=slice(0, 270, 3),
        most=90,
        part=INSIDE,
    ),
    "scannet-500": VideoSet(
        folder="scannet",
        list="scannet_video_500.json",
        download=SCANNET,
        taken=slice(500),
        most=500,
        part=INSIDE,
    ),
}


class VdaVideos(PhotoFiles[VideoFrame]):
    """Frames of videos, video by video; the split is the set and the length."""

    card = own_card("vda-videos")

    def __init__(self, request: Request) -> None:
        self.request = request
        self._set = SETS[request.split]
        found, absent = _frames(request, self._set)
        self._choose(found, request.list_file, lambda frame: (frame.image, frame.depth))
        if request.list_file is None:
            self.absent = (*absent, *self.absent)

    def image(self, id: str) -> UInt8[np.ndarray, "h w 3"]:
        """The frame as networks see it."""
        cut, image = self._entry(id).cut, super().image(id)
        return image if cut is None else cut(image)

    def photo_file(self, id: str) -> Path | None:
        """The photograph's own file, where all of it is the frame."""
        return super().photo_file(id) if self._entry(id).cut is None else None

    def truth(self, id: str) -> Truth:
        """Depth of the part that is scored, with the camera and the pose where they are known."""
        entry = self._entry(id)
        depth = entry.read_depth(entry.depth)[self._set.part]
        if not depth.size:
            raise InputError(f"{entry.depth}: is too small for the part that is scored")
        view = View() if entry.read_view is None else entry.read_view()
        top, left = (each.start or 0 for each in self._set.part)
        return Truth(
            id=id,
            depth=depth,
            depth_valid=np.isfinite(depth) & (depth > 0),
            camera=None if view.camera is None else view.camera.cropped(top=top, left=left),
            world_T_cam=view.world_T_cam,
            scene=entry.scene,
        )


def _frames(request: Request, chosen: VideoSet) -> tuple[dict[str, VideoFrame], tuple[Absent, ...]]:
    """Frames of the authors' list if there is one, else of the download."""
    root = request.root
    own = root / chosen.folder
    for folder in (own, root):
        if (folder / chosen.list).is_file():
            if request.variant != USUAL:
                raise InputError(
                    f"{printable(folder / chosen.list)}: this list says which frames there are, so "
                    f"the variant '{request.variant}' has to be read from the set as downloaded"
                )
            return listed_frames(folder / chosen.list, chosen.folder, chosen.most), ()
    try:
        place = own if own.is_dir() else root
        return downloaded_frames(chosen.download, place, request.variant, chosen.taken)
    except InputError as error:
        raise InputError(
            f"{error}; {chosen.folder}/{chosen.list}, as the authors' scripts write it, also does"
        ) from error
