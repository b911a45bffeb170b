"""Videos of MPI Sintel, as downloaded."""

from functools import partial
from pathlib import Path

from rilievo.data.datasets.files import names_in
from rilievo.data.datasets.sets.videos.downloads import (
    Download,
    Frames,
    Videos,
    folder_below,
    stems,
)
from rilievo.data.datasets.sets.videos.sintel_files import read_cam, read_dpt
from rilievo.data.datasets.sets.videos.video_frame import VideoFrame, View

FINAL = "final"
"""Variant with the final pass: motion blur, haze and defocus."""
_NAMES = (
    "alley_1",
    "alley_2",
    "ambush_2",
    "ambush_4",
    "ambush_5",
    "ambush_6",
    "ambush_7",
    "bamboo_1",
    "bamboo_2",
    "bandage_1",
    "bandage_2",
    "cave_2",
    "cave_4",
    "market_2",
    "market_5",
    "market_6",
    "mountain_1",
    "shaman_2",
    "shaman_3",
    "sleeping_1",
    "sleeping_2",
    "temple_2",
    "temple_3",
)


def _open(root: Path, variant: str) -> Videos:
    # Pictures and depth are two downloads, which may lie beside each other.
    name = FINAL if variant == FINAL else "clean"
    pictures, depths = _part(root, name), _part(root, "depth")
    cameras = depths.with_name("camdata_left")

    def frames(video: str, taken: slice) -> Frames:
        for stem in stems(pictures / video, ".png")[taken]:
            camera = cameras / video / f"{stem}.cam"
            frame = VideoFrame(
                image=pictures / video / f"{stem}.png",
                depth=depths / video / f"{stem}.dpt",
                scene=video,
                read_depth=read_dpt,
                read_view=partial(_view, camera),
            )
            yield f"{name}/{video}/{stem}", frame

    return frames


def _part(root: Path, name: str) -> Path:
    expected = f"Sintel's training/{name}"

    def has_videos(folder: Path) -> bool:
        return not names_in(folder / name).isdisjoint(_NAMES)

    return folder_below(root, expected, has_videos) / name


def _view(path: Path) -> View:
    if not path.is_file():
        return View()
    camera, world_T_cam = read_cam(path)
    return View(camera=camera, world_T_cam=world_T_cam)


SINTEL = Download(
    videos=_NAMES,
    open=_open,
    variants=(FINAL,),
)
