"""7-Scenes: rooms from a Kinect, with poses (Shotton et al., CVPR 2013)."""

import re
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Transform, UInt16
from rilievo.data.datasets.dataset import Absent, DatasetCard, Request, checked_ids
from rilievo.data.datasets.loaders import (
    DepthFiles,
    DepthSet,
    MaskedValues,
    read_grey_integers,
    read_if_present,
)
from rilievo.data.datasets.text_files import (
    contents_text,
    names_in,
    parse_numbers,
    scene_by_folders,
    text_lines,
)
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera
from rilievo.geometry.intrinsics import pinhole_K
from rilievo.geometry.transforms import is_rigid_motion
from rilievo.io.files.names import printable

_CARD = DatasetCard(
    name="seven-scenes",
    title="RGB-D Dataset 7-Scenes (Shotton et al. 2013)",
    summary="seven small rooms from a hand-held Kinect, 0.5 to 5 m, with the camera's path",
    homepage="https://www.microsoft.com/en-us/research/project/rgb-d-dataset-7-scenes/",
    licence="Microsoft Research licence, for non-commercial use",
    commercial=False,
    layout="""\
redkitchen/                     a scene; give it, the folder that has several, or one sequence
  TestSplit.txt                 lines 'sequence3': the sequences of the split
  TrainSplit.txt
  seq-03/                       each sequence is a zip of its own, to be unpacked here
    frame-000000.color.png      colour, 640 x 480 (or .jpg)
    frame-000000.depth.png      uint16 millimetres; 0 and 65535 unknown
    frame-000000.pose.txt       world_T_cam [m], 4 x 4""",
    splits=("test", "train", "all"),
    counts={"test": 17000, "train": 26000},
    variants=("registered", "raw"),
    caveats=(
        (
            "Depth is not registered to colour: the depth camera has f = 585 and the colour "
            "camera about 535 (found by warping; the authors give no value). 'registered' warps "
            "depth to the colour image, assuming that both cameras share position and axis; in "
            "fact they are 2.5 cm apart."
        ),
        (
            "'raw' is depth as stored, with f = 585, as most papers use it; it is off by up to 27 "
            "px at the sides."
        ),
        (
            "Kinect depth is rounded to steps that grow with the square of the depth (3 mm at 1 "
            "m); dark, shiny and distant surfaces are holes."
        ),
        "Neighbouring frames are nearly alike, because there are 30 per second.",
        "A single folder of frames only has the split 'all'.",
    ),
)

SIZE = (480, 640)
"""Height and width of pictures and depth [px]."""
_PRINCIPAL_POINT = (320.0, 240.0)  # [px], of both cameras
_DEPTH_FOCAL = 585.0  # [px]
_COLOUR_FOCAL = 535.0  # [px]
_STEPS_PER_METRE = 1000
_INVALID_NUMBERS = (0, 65535)
_SPLIT_FILES = {"test": "TestSplit.txt", "train": "TrainSplit.txt"}
_SEQUENCE = re.compile(r"seq-\d+")
_FRAME_FILE = re.compile(r"(frame-\d+)\.(?:color\.png|color\.jpg|depth\.png)")
_SPLIT_LINE = re.compile(r"(?:sequence|seq-)\s*(\d{1,6})", re.IGNORECASE)


class SevenScenes(DepthSet):
    """Frames of all scenes, of one scene, or of a folder of frames.

    In the variant ``registered``, depth is resampled to the colour camera.
    """

    card = _CARD

    def __init__(self, request: Request) -> None:
        self.request = request
        cached_names_in = cache(names_in)
        ids, absent = _list_ids_and_absent(request)
        ids = checked_ids(ids, str(request.list_file or request.root))
        self._set_images(
            {image_id: _files_of_frame(request, image_id, cached_names_in) for image_id in ids}
        )
        self.absent = (*absent, *self.absent)


def _read_depth(path: Path, *, registered: bool) -> MaskedValues:
    stored = read_grey_integers(path)
    if stored.shape != SIZE:
        raise InputError(f"{path}: has the shape {stored.shape}, expected {SIZE} (height, width)")
    return decode_depth(stored, registered=registered)


def decode_depth(stored: UInt16[np.ndarray, "480 640"], *, registered: bool) -> MaskedValues:
    """Convert the numbers of a depth file to metres, and resample them if ``registered``."""
    if registered:
        stored = register_depth(stored)
    valid = ~np.isin(stored, _INVALID_NUMBERS)
    return MaskedValues(stored.astype(np.float32) / _STEPS_PER_METRE, valid)


def register_depth(stored: UInt16[np.ndarray, "480 640"]) -> UInt16[np.ndarray, "480 640"]:
    """Resample a depth map to the colour camera, as if both cameras stood in one place.

    Pixels that the depth camera does not see are 0.
    """
    # Both cameras have one principal point, about which pixels scale with the focal length.
    cx, cy = _PRINCIPAL_POINT
    ratio = _DEPTH_FOCAL / _COLOUR_FOCAL
    height, width = SIZE
    v = np.rint(cy + (np.arange(height) - cy) * ratio).astype(np.int64)
    u = np.rint(cx + (np.arange(width) - cx) * ratio).astype(np.int64)
    rows, columns = (v >= 0) & (v < height), (u >= 0) & (u < width)
    registered = np.zeros_like(stored)
    registered[np.ix_(rows, columns)] = stored[np.ix_(v[rows], u[columns])]
    return registered


def _list_ids_and_absent(request: Request) -> tuple[list[str], list[Absent]]:
    """List the ids of the requested frames, and the sequences without frames."""
    # Before the list is read, so that a wrong root is an error with a list as well.
    sequences = list(_sequence_paths(request))
    if request.list_file is not None:
        return [line.text for line in text_lines(request.list_file)], []
    ids: list[str] = []
    absent: list[Absent] = []
    for sequence in sequences:
        folder = request.root / sequence
        stems = _frame_stems(folder)
        ids.extend((Path(sequence) / stem).as_posix() for stem in stems)
        if not stems:
            reason = f"{printable(folder)} has no frames; extract its zip file there"
            absent.append(Absent(id=sequence, reason=reason))
    return ids, absent


def _sequence_paths(request: Request) -> Iterator[str]:
    """Yield the folders of sequences, relative to the root; "" if frames lie in the root itself."""
    root = request.root
    if _frame_stems(root):
        if request.split != "all" and request.list_file is None:
            raise InputError(
                f"{root}: is a single folder of frames, which has no split '{request.split}'; "
                "choose the split 'all'"
            )
        yield ""
        return
    scenes = [name for name in ("", *sorted(names_in(root))) if _has_sequences(root / name)]
    if not scenes:
        raise InputError(
            f"{root}: expected scenes with folders such as seq-01, or frames such as "
            f"frame-000000.color.png, found {contents_text(root)}"
        )
    for scene in scenes:
        for sequence in _sequences_of_split(root / scene, request):
            yield (Path(scene) / sequence).as_posix()


def _sequences_of_split(scene: Path, request: Request) -> list[str]:
    """List the sequences of a scene that belong to the split, or all of them for a list."""
    if request.split == "all" or request.list_file is not None:
        return sorted(name for name in names_in(scene) if _SEQUENCE.fullmatch(name))
    path = scene / _SPLIT_FILES[request.split]
    sequences: list[str] = []
    for line in text_lines(path):
        match = _SPLIT_LINE.fullmatch(line.text)
        if match is None:
            raise InputError(
                f"{path}: line {line.number} is '{line.text[:80]}'; expected a name such as "
                "'sequence1'"
            )
        sequences.append(f"seq-{int(match[1]):02d}")
    return sequences


def _has_sequences(folder: Path) -> bool:
    return any(_SEQUENCE.fullmatch(name) for name in names_in(folder))


def _frame_stems(folder: Path) -> list[str]:
    matches = map(_FRAME_FILE.fullmatch, names_in(folder))
    return sorted({match[1] for match in matches if match is not None})


def _files_of_frame(
    request: Request, image_id: str, names_in_folder: Callable[[Path], frozenset[str]]
) -> DepthFiles:
    """Files of a frame: its picture (PNG, or JPEG if there is no PNG), its depth and its pose."""
    folder, stem = (request.root / image_id).parent, Path(image_id).name
    png, jpg = f"{stem}.color.png", f"{stem}.color.jpg"
    present = names_in_folder(folder)
    registered = request.variant == "registered"
    focal = _COLOUR_FOCAL if registered else _DEPTH_FOCAL
    return DepthFiles(
        image=folder / (jpg if jpg in present and png not in present else png),
        depth=folder / f"{stem}.depth.png",
        read_depth=partial(_read_depth, registered=registered),
        camera=Camera(K=pinhole_K(focal, focal, *_PRINCIPAL_POINT)),
        pose=partial(read_if_present, _read_pose, folder / f"{stem}.pose.txt"),
        scene=scene_by_folders(image_id, request.root),
    )


def _read_pose(path: Path) -> Transform:
    """Read ``world_T_cam`` [m]."""
    words = " ".join(line.text for line in text_lines(path))
    numbers = parse_numbers(words)
    if numbers is not None and len(numbers) == 16:
        pose = np.array(numbers).reshape(4, 4)
        if is_rigid_motion(pose):
            return pose
    raise InputError(
        f"{path}: contains '{words[:60]}'; expected a pose as a 4x4 matrix of rotation and "
        "translation"
    )
