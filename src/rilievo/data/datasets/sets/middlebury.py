"""Middlebury Stereo 2014: disparity from structured light."""

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from rilievo.arrays.shapes import Matrix
from rilievo.data.datasets.dataset import DatasetCard, Request
from rilievo.data.datasets.loaders import DepthFiles, DepthSet, MaskedValues
from rilievo.data.datasets.text_files import contents_text, text_lines, walk
from rilievo.errors import InputError
from rilievo.geometry.cameras.camera import Camera, camera_from_K
from rilievo.io.numbers import read_map

_CARD = DatasetCard(
    name="middlebury",
    title="Middlebury Stereo Datasets (2014)",
    summary="indoor still lifes, 6 megapixels, structured light, about 1 to 10 m",
    homepage="https://vision.middlebury.edu/stereo/data/scenes2014/",
    licence="none stated; free to use with the paper cited, as its page says",
    commercial=False,
    gigabytes=4.0,
    layout="""\
Adirondack-perfect/      one folder per scene, or trainingF/Adirondack/ of MiddEval3
  im0.png                left image
  disp0.pfm              its disparity [px]; disp0GT.pfm in MiddEval3; inf: unknown
  calib.txt              cam0=[f 0 cx; 0 f cy; 0 0 1], doffs [px], baseline [mm]""",
    splits=("all",),
    counts={"all": 23},
    caveats=(
        (
            "There are few scenes, all of them close: it shows the sharpness of edges better than "
            "it ranks models."
        ),
        (
            "Every scene comes with a perfect and an imperfect calibration for the same left "
            "image: use only one of them."
        ),
    ),
)

_MAX_NUMBER = 1e6  # of a calibration [m, px]; larger ones are damage


@dataclass(frozen=True, slots=True, kw_only=True)
class _Calibration:
    """Calibration of a scene.

    Attributes:
        K: Intrinsics of the left camera [px].
        baseline: Distance between the cameras [m].
        doffs: Difference of the two principal points in x, which is added to disparity [px].
    """

    K: Matrix
    baseline: float
    doffs: float


class Middlebury(DepthSet):
    """Left photographs of the scenes, with depth from their disparity."""

    card = _CARD

    def __init__(self, request: Request) -> None:
        self.request = request
        scenes = _find_scenes(request.root)
        if not scenes:
            raise InputError(
                f"{request.root}: contains no scene of Middlebury 2014, which has im0.png and "
                f"calib.txt; found {contents_text(request.root)}"
            )
        self._set_listed_images(scenes, request.list_file)


def _read_depth(path: Path, *, calibration: Path) -> MaskedValues:
    """Read depth [m], which is focal · baseline / (disparity + doffs)."""
    stereo = _read_calibration(calibration)
    # A signalling NaN in the file counts as unknown too.
    with np.errstate(invalid="ignore"):
        disparity = read_map(path).astype(np.float64) + stereo.doffs
    valid = np.isfinite(disparity) & (disparity > 0)

    focal = stereo.K[0, 0]
    with np.errstate(over="ignore"):
        # Invalid pixels get any positive disparity, and are masked out.
        depth = focal * stereo.baseline / np.where(valid, disparity, 1)
        depth = depth.astype(np.float32)
    # Depth from a tiny disparity overflows to infinity, which other files use for the horizon.
    valid &= np.isfinite(depth)
    return MaskedValues(np.where(valid, depth, np.float32(0)), valid)


def _left_camera(_: tuple[int, int], *, calibration: Path) -> Camera:
    return Camera(K=_read_calibration(calibration).K)


def _find_scenes(root: Path) -> dict[str, DepthFiles]:
    """Find the folders with im0.png and calib.txt, sorted by id."""
    scenes = {}
    for parent, _, names in walk(root):
        if not {"im0.png", "calib.txt"} <= set(names):
            continue
        folder, calibration = Path(parent), Path(parent, "calib.txt")
        # The disparity of evaluation scenes has another name than that of training scenes.
        disparity = "disp0GT.pfm" if "disp0GT.pfm" in names else "disp0.pfm"
        image_id = folder.relative_to(root).as_posix() if folder != root else root.resolve().name
        scenes[image_id] = DepthFiles(
            image=folder / "im0.png",
            depth=folder / disparity,
            read_depth=partial(_read_depth, calibration=calibration),
            camera=partial(_left_camera, calibration=calibration),
            required_files=(calibration,),
        )
    return dict(sorted(scenes.items()))


def _read_calibration(path: Path) -> _Calibration:
    """Read the lines "key=value" of calib.txt, whose baseline is in millimetres."""
    values = {}
    for line in text_lines(path):
        key, _, value = line.text.partition("=")
        values[key.strip()] = value.strip()
    try:
        entries = [float(word) for word in re.findall(r"[^\s;\[\]]+", values["cam0"])]
        K = np.array(entries).reshape(3, 3)
        baseline = float(values["baseline"]) / 1000  # from mm to m
        doffs = float(values.get("doffs", 0))
        has_plausible_K = abs(K).max() < _MAX_NUMBER  # False for NaN
        has_plausible_offsets = 0 < baseline < _MAX_NUMBER and abs(doffs) < _MAX_NUMBER
        if not (has_plausible_K and has_plausible_offsets):
            raise ValueError(f"baseline is {values['baseline']} and doffs is {doffs:g}")
    except (KeyError, ValueError) as error:
        raise InputError(
            f"{path}: expected cam0=[f 0 cx; 0 f cy; 0 0 1] and baseline=MILLIMETRES ({error})"
        ) from error
    return _Calibration(K=camera_from_K(K, path).K, baseline=baseline, doffs=doffs)
