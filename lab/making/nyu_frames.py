"""Photographs with measured depth: the training frames of NYU Depth V2's labelled set.

N. Silberman et al., "Indoor Segmentation and Support Inference from RGBD Images", ECCV 2012. The
folder has ``train.txt`` (one frame a line), ``rgb/NNNN.jpg`` and ``depth/NNNN.png``, the depth as
8 bits: metres = (value + 0.5) / 25.5. Only ``train.txt`` is read here.
"""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from PIL import Image

from lab.making.distil.frames.training_frames import Frame
from rilievo.errors import InputError, MissingExtraError
from rilievo.io.files.limits import reason
from rilievo.io.files.names import printable

FOCAL = (518.8579, 519.4696)
CENTRE = (325.5824, 253.7362)
ROWS, COLUMNS = slice(45, 471), slice(41, 601)
"""Rows and columns inside the white border of the colour images."""

METRES_PER_STEP = 1 / 25.5
STORED_SIZE = (268, 352)
"""Size at which frames are kept [px]."""
_WINDOW = 21
HELD_OUT = 60


class NyuFrames:
    """Training frames in memory, scaled to 352×268, with normals from a plane fit.

    Attributes:
        held_out: The last 60 frames of the list, for validation: a block, since neighbours share
            a scene.
    """

    def __init__(
        self, folder: Path, *, held_out: int = HELD_OUT, size: tuple[int, int] = STORED_SIZE
    ) -> None:
        names = _training_names(folder)
        if len(names) <= held_out:
            raise InputError(
                f"{folder}/train.txt: {len(names)} frames, of which {held_out} are "
                "held out for validation: none is left to train on"
            )
        with ThreadPoolExecutor() as pool:
            frames = list(pool.map(lambda name: _read(folder, name, size), names))
        split = len(frames) - held_out
        self._frames, self.held_out = frames[:split], frames[split:]

    @property
    def all_frames(self) -> list[Frame]:
        """Frames that are trained on."""
        return list(self._frames)

    def draw(self, random: np.random.Generator) -> Frame:
        """Return one frame at random."""
        return self._frames[int(random.integers(len(self._frames)))]

    def __len__(self) -> int:
        return len(self._frames)


def held_out_frames(folder: Path) -> list[Frame]:
    """Read the frames alone that ``NyuFrames`` holds out."""
    return [_read(folder, name) for name in _training_names(folder)[-HELD_OUT:]]


def plane_normals(
    depth: Float32[np.ndarray, "h w"], *, window: int = _WINDOW
) -> tuple[Float32[np.ndarray, "3 h w"], Bool[np.ndarray, "h w"]]:
    """Fit 1/z = a x + b y + c in a window around every pixel; the plane's normal is -(a, b, c).

    x and y are the coordinates at depth 1. Inverse depth is linear on a plane, so the fit has no
    bias on oblique ones. Depth [m] has NYU's full size, 480×640.

    Returns unit normals towards the camera, and a mask of the reliable ones: the window lies inside
    the image and the residual of the fit is within the sensor's noise, as it is away from edges.
    """
    try:
        import cv2
    except ImportError as error:
        raise MissingExtraError("training", "train") from error

    def mean(values: np.ndarray) -> np.ndarray:
        return cv2.boxFilter(values, cv2.CV_64F, (window, window))

    height, width = depth.shape
    inverse = 1.0 / depth.astype(np.float64)
    u, v = np.meshgrid(np.arange(width, dtype=np.float64), np.arange(height, dtype=np.float64))
    # On a regular grid the fit separates into three means: u and v do not correlate in a window.
    variance = (window**2 - 1) / 12
    level = mean(inverse)
    slope_u = (mean(inverse * u) - level * u) / variance
    slope_v = (mean(inverse * v) - level * v) / variance
    a, b = slope_u * FOCAL[0], slope_v * FOCAL[1]
    c = level - slope_u * (u - CENTRE[0]) - slope_v * (v - CENTRE[1])
    explained = (slope_u**2 + slope_v**2) * variance
    residual = np.sqrt(np.maximum(mean(inverse**2) - level**2 - explained, 0)) * depth**2
    normals = -np.stack([a, b, c]) / np.sqrt(a**2 + b**2 + c**2)
    valid = residual < 0.03 + 0.004 * depth**2  # the sensor's noise grows with depth squared
    border = window // 2
    inside = np.zeros_like(valid)
    inside[border : height - border, border : width - border] = True
    return normals.astype(np.float32), valid & inside


def _training_names(folder: Path) -> list[str]:
    try:
        return (folder / "train.txt").read_text().split()
    except OSError as error:
        raise InputError(
            f"{printable(folder)}: no train.txt, which NYU Depth V2's folder has ({reason(error)})"
        ) from error


def _read(folder: Path, name: str, size: tuple[int, int] = STORED_SIZE) -> Frame:
    try:
        image = np.asarray(Image.open(folder / "rgb" / f"{name}.jpg").convert("RGB"))
        stored = np.asarray(Image.open(folder / "depth" / f"{name}.png"))
    except OSError as error:
        raise InputError(
            f"{printable(folder)}: frame {printable(name)} cannot be read: {reason(error)}"
        ) from error
    if stored.shape != (480, 640) or image.shape != (480, 640, 3) or stored.dtype != np.uint8:
        raise InputError(
            f"{folder}: frame {name} is {image.shape} with depth {stored.shape} {stored.dtype}, "
            "expected 480×640 and uint8"
        )
    depth = ((stored + np.float32(0.5)) * np.float32(METRES_PER_STEP)).astype(np.float32)
    normals, normals_valid = plane_normals(depth)
    # The stored depth saturates at 10 m: there it is only a lower bound.
    known = normals_valid & (stored < 250)
    return _scaled(image, np.log(depth), stored < 255, normals, known, size)


def _scaled(
    image: UInt8[np.ndarray, "h w 3"],
    log_depth: Float32[np.ndarray, "h w"],
    valid: Bool[np.ndarray, "h w"],
    normals: Float32[np.ndarray, "3 h w"],
    normals_valid: Bool[np.ndarray, "h w"],
    size: tuple[int, int],
) -> Frame:
    height, width = size
    rows = np.linspace(ROWS.start, ROWS.stop - 1, height).round().astype(int)
    columns = np.linspace(COLUMNS.start, COLUMNS.stop - 1, width).round().astype(int)
    pick = np.ix_(rows, columns)
    inner = Image.fromarray(np.ascontiguousarray(image[ROWS, COLUMNS]))
    small = inner.resize((width, height), Image.Resampling.BOX)
    down, right = height / inner.height, width / inner.width
    packed = np.round(127 * normals[:, rows][:, :, columns]).astype(np.int8)
    return Frame(
        image=np.asarray(small),
        log_depth=log_depth[pick].astype(np.float32),
        valid=valid[pick],
        sky=np.zeros((height, width), bool),
        normals=packed,
        normals_valid=normals_valid[pick],
        camera=(
            FOCAL[0] * right,
            FOCAL[1] * down,
            (CENTRE[0] - COLUMNS.start + 0.5) * right - 0.5,
            (CENTRE[1] - ROWS.start + 0.5) * down - 0.5,
        ),
    )
