"""Videos of four sets as papers on video depth score them: Sintel, KITTI, Bonn, ScanNet.

Frames, caps and cuts are those of Video Depth Anything (Chen et al., CVPR 2025). The sets are read
as their authors offer them, or as its own scripts extract and list them.
"""

from collections.abc import Mapping
from dataclasses import replace

from rilievo.data.datasets.base import Absent, Request, own_card
from rilievo.data.datasets.photo_files import DepthFiles, DepthSet
from rilievo.data.datasets.sets.videos.downloads import USUAL, Download, downloaded_frames
from rilievo.data.datasets.sets.videos.extracted_lists import listed_frames
from rilievo.data.datasets.sets.videos.kitti_videos import KITTI
from rilievo.data.datasets.sets.videos.rgbd_videos import BONN, INSIDE, SCANNET
from rilievo.data.datasets.sets.videos.sintel_videos import SINTEL
from rilievo.errors import InputError
from rilievo.frozen import frozen
from rilievo.io.files.limits import printable
from rilievo.messages import literal, template
from rilievo.types import Truth

_KITTI_PART = slice(0, 374), slice(0, 1242)


@frozen
class VideoSet:
    """One set at one length.

    Attributes:
        download: The set as it is downloaded.
        taken: Frames of each video of the download; a list has as many of each.
        part: Rows and columns of the depth that are scored.
    """

    download: Download
    taken: slice
    part: tuple[slice, slice] = (slice(None), slice(None))


SETS: Mapping[str, VideoSet] = {
    "sintel": VideoSet(download=SINTEL, taken=slice(100)),
    "kitti": VideoSet(download=KITTI, taken=slice(110), part=_KITTI_PART),
    "kitti-500": VideoSet(download=KITTI, taken=slice(500), part=_KITTI_PART),
    "bonn": VideoSet(download=BONN, taken=slice(30, 140)),
    "bonn-500": VideoSet(download=BONN, taken=slice(500)),
    "scannet": VideoSet(download=SCANNET, taken=slice(0, 270, 3), part=INSIDE),
    "scannet-500": VideoSet(download=SCANNET, taken=slice(500), part=INSIDE),
}
"""Sets by the name of their folder, and the length where papers score two."""


class VdaVideos(DepthSet):
    """Frames of videos, video by video; the split is the set and the length."""

    card = own_card("vda-videos")

    def __init__(self, request: Request) -> None:
        self.request = request
        self._set = SETS[request.split]
        frames, absent = _frames(request, self._set)
        self._choose(frames, request.list_file)
        if request.list_file is None:
            self.absent = (*absent, *self.absent)

    def truth(self, id: str) -> Truth:
        """Depth of the part that is scored, with the camera and the pose where they are known."""
        truth, part = super().truth(id), self._set.part
        assert truth.depth is not None, "every frame has depth"
        assert truth.depth_valid is not None, "the same"
        depth = truth.depth[part]
        if not depth.size:
            raise InputError(f"{self._entry(id).depth}: is too small for the part that is scored")
        top, left = (side.start or 0 for side in part)
        camera = None if truth.camera is None else truth.camera.cropped(top=top, left=left)
        return replace(truth, depth=depth, depth_valid=truth.depth_valid[part], camera=camera)


def _frames(request: Request, chosen: VideoSet) -> tuple[dict[str, DepthFiles], tuple[Absent, ...]]:
    """Frames of the authors' list if there is one, else of the download."""
    root, (name, _, length) = request.root, request.split.partition("-")
    listing = f"{name}_video_{length}.json" if length else f"{name}_video.json"
    own = root / name
    for folder in (own, root):
        if (folder / listing).is_file():
            if request.variant != USUAL:
                raise InputError(
                    f"{printable(folder / listing)}: this list says which frames there are, so "
                    f"the variant '{request.variant}' has to be read from the set as downloaded"
                )
            most = len(range(*chosen.taken.indices(chosen.taken.stop)))
            return listed_frames(folder / listing, name, most), ()
    try:
        place = own if own.is_dir() else root
        return downloaded_frames(chosen.download, place, request.variant, chosen.taken)
    except InputError as error:
        raise InputError(
            problem=template(error),
            hint=literal(f"{name}/{listing}, as the authors' scripts write it, also does"),
        ) from error
