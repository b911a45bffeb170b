"""Photographs with measured depth that the embedded model never saw, from a folder of downloads.

Every reader yields ``Truth`` records. What is odd about a set stands where it is read.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, Float64, UInt8
from PIL import Image

from rilievo.geometry.normals import normals_from_depth


@dataclass(frozen=True, slots=True, kw_only=True)
class Truth:
    """One photograph with ground truth.

    Attributes:
        image: As the camera gave it, cropped where the set has a frame.
        depth: In metres; read only where ``valid``.
        valid: Pixels with depth inside the range that is scored.
        normals: Camera frame, towards the camera; zero where unknown.
    """

    image: UInt8[np.ndarray, "h w 3"]
    depth: Float32[np.ndarray, "h w"]
    valid: Bool[np.ndarray, "h w"]
    normals: Float32[np.ndarray, "3 h w"]


_INDOOR, _ROAD = (0.1, 10.0), (0.1, 80.0)
_NYU_FRAME = (slice(45, 471), slice(41, 601))


def nyu(root: Path, names: str = "test.txt", *, every: int = 1) -> Iterator[Truth]:
    """NYU Depth V2, labelled: 8-bit in-painted depth, inside the white frame."""
    folder = root / "nyuv2_labeled_8bit"
    K = _pinhole(518.8579, 519.4696, 325.5824, 253.7362)
    for name in (folder / names).read_text().split()[::every]:
        depth = (_array(folder / "depth" / f"{name}.png").astype(np.float32) + 0.5) / 25.5
        whole = _truth(_image(folder / "rgb" / f"{name}.jpg"), depth, K, _INDOOR, window=21)
        rows, columns = _NYU_FRAME
        yield Truth(
            image=np.ascontiguousarray(whole.image[rows, columns]),
            depth=whole.depth[rows, columns],
            valid=whole.valid[rows, columns],
            normals=whole.normals[:, rows, columns],
        )


def seven_scenes(root: Path) -> Iterator[Truth]:
    """Kinect frames of a kitchen; the depth camera (f = 585) is not registered to colour (535).

    Both look along one axis from nearly one place, so depth is read where colour's rays meet it.
    """
    ratio = 585 / 535
    v = np.round(240 + (np.arange(480) - 240) * ratio).astype(int)
    u = np.round(320 + (np.arange(640) - 320) * ratio).astype(int)
    inside = ((v >= 0) & (v < 480))[:, None] & ((u >= 0) & (u < 640))[None, :]
    for path in sorted((root / "7scenes_redkitchen").glob("*.color.jpg")):
        stored = _array(Path(str(path).replace(".color.jpg", ".depth.png")))
        picked = stored[np.ix_(v.clip(0, 479), u.clip(0, 639))] * inside
        K = _pinhole(535, 535, 320, 240)
        yield _truth(_image(path), picked / 1000, K, _INDOOR, window=15)


def realsense(root: Path) -> Iterator[Truth]:
    """Ten frames of floors and boxes."""
    K = _pinhole(617.25, 617.5486, 317.3921, 245.9802)
    for path in sorted((root / "realsense_10" / "color").glob("*.png")):
        stored = _array(path.parent.parent / "depth" / path.name)
        yield _truth(_image(path), stored / 1000, K, _INDOOR, window=15)


def sun_rgbd(root: Path) -> Iterator[Truth]:
    """Two frames; depth has its bits rotated by three."""
    one = root / "sunrgbd_original" / "img_0063"
    other = root / "open3d_testdata_rgbd" / "other_formats"
    K = _pinhole(520.532, 520.7444, 277.9258, 215.115)
    pairs = (
        (one / "image" / "img_0063.jpg", one / "depth" / "img_0063_abs.png", K),
        (other / "SUN_color.jpg", other / "SUN_depth.png", _pinhole(529.5, 529.5, 365, 265)),
    )
    for image, depth, intrinsics in pairs:
        stored = _array(depth).astype(np.uint16)
        metres = ((stored >> 3) | (stored << 13)) / 1000
        yield _truth(_image(image), metres, intrinsics, _INDOOR, window=15)


def motorcycle(root: Path) -> Iterator[Truth]:
    """Middlebury 2014, a quarter of its size; dense and accurate."""
    folder = root / "middlebury_motorcycle"
    with np.load(folder / "motorcycle_disp.npz") as archive:
        disparity = archive["arr_0"]
    finite = np.isfinite(disparity)
    depth = np.where(finite, 994.978 * 0.193001 / (np.where(finite, disparity, 1) + 31.086), 0)
    K = _pinhole(994.978, 994.978, 311.193, 254.877)
    yield _truth(_image(folder / "motorcycle_left.png"), depth, K, _INDOOR, window=7)


def tum(root: Path) -> Iterator[Truth]:
    """Freiburg 1, a desk; each colour frame with the depth frame nearest in time."""
    folder = root / "tum_fr1_desk_9"
    depths = sorted((folder / "depth").glob("*.png"))
    for path in sorted((folder / "rgb").glob("*.png")):
        nearest = min(depths, key=lambda depth: abs(float(depth.stem) - float(path.stem)))
        K = _pinhole(517.3, 516.5, 318.6, 255.3)
        yield _truth(_image(path), _array(nearest) / 5000, K, _INDOOR, window=15)


def replica(root: Path) -> Iterator[Truth]:
    """Scanned rooms, rendered: one with its field of view, one without, so without normals.

    The second stores depth in a unit that nobody states; scores do not mind the factor.
    """
    folder = root / "omnidata_replica"
    focal = 256 / np.tan(1.0934501795431415 / 2)
    first, second = _pinhole(focal, focal, 255.5, 255.5), None
    for stem, K, unit in (
        ("point_47_view_25", first, 1 / 512),
        ("point_156_view_10", second, 1 / 8000),
    ):
        stored = _array(folder / f"{stem}_domain_depth_zbuffer.png")
        depth = np.where(stored == 65535, 0, stored * unit)
        yield _truth(_image(folder / f"{stem}_domain_rgb.png"), depth, K, _INDOOR, window=5)


def tartanair(root: Path) -> Iterator[Truth]:
    """One rendered frame, mostly foliage."""
    folder = root / "tartanair_dsine"
    depth = np.load(folder / "000000_depth.npy").squeeze()
    K = _pinhole(320, 320, 319.5, 239.5)
    yield _truth(_image(folder / "000000_img.png"), depth, K, _ROAD, window=5)


def kitti_depth(root: Path) -> Iterator[Truth]:
    """Three frames with accumulated laser depth; too sparse for normals."""
    for path in sorted((root / "kitti_depth_metric3d" / "rgb").glob("*.png")):
        stored = _array(path.parent.parent / "depth" / path.name)
        yield _truth(_image(path), stored / 256, None, _ROAD, window=0)


def kitti_raw(root: Path) -> Iterator[Truth]:
    """Five frames with single laser scans, projected into the left colour camera."""
    day = root / "kitti_raw" / "2011_09_26"
    drive = day / "2011_09_26_drive_9002_sync"
    to_image = _kitti_projection(day)
    for path in sorted((drive / "velodyne_points" / "data").glob("*.bin")):
        image = _image(drive / "image_02" / "data" / f"{path.stem}.jpg")
        height, width = image.shape[:2]
        points = np.fromfile(path, np.float32).reshape(-1, 4)
        x, y, z = to_image @ np.c_[points[:, :3], np.ones(len(points))].T
        in_front = z > 0.1
        u = np.round(x[in_front] / z[in_front]).astype(int)
        v = np.round(y[in_front] / z[in_front]).astype(int)
        seen = (u >= 0) & (u < width) & (v >= 0) & (v < height)
        order = np.argsort(-z[in_front][seen])  # the nearest point of a pixel is written last
        depth = np.zeros((height, width))
        depth[v[seen][order], u[seen][order]] = z[in_front][seen][order]
        yield _truth(image, depth, None, _ROAD, window=0)


REAL_SETS: Mapping[str, Callable[[Path], Iterator[Truth]]] = {
    "NYU Depth V2, test frames (every 7th)": nyu,
    "7-Scenes, a kitchen": seven_scenes,
    "RealSense, floors and boxes": realsense,
    "SUN RGB-D": sun_rgbd,
    "TUM, a desk": tum,
    "Middlebury motorcycle": motorcycle,
    "Replica, rendered scans": replica,
    "TartanAir, rendered": tartanair,
    "KITTI, accumulated laser": kitti_depth,
    "KITTI raw, single scans": kitti_raw,
}


def _truth(
    image: UInt8[np.ndarray, "h w 3"],
    depth: np.ndarray,
    K: Float64[np.ndarray, "3 3"] | None,
    limits: tuple[float, float],
    *,
    window: int,
) -> Truth:
    depth = depth.astype(np.float32)
    valid = (depth > limits[0]) & (depth < limits[1])
    normals = np.zeros((3, *depth.shape), np.float32)
    if K is not None:
        fitted, known = normals_from_depth(depth.astype(np.float64), K, valid, window=window)
        normals = np.where(known, fitted, 0).astype(np.float32)
    return Truth(image=image, depth=depth, valid=valid, normals=normals)


def _kitti_projection(day: Path) -> Float64[np.ndarray, "3 4"]:
    def entries(path: Path) -> dict[str, np.ndarray]:
        lines = (line.split(":", 1) for line in path.read_text().splitlines() if ":" in line)
        return {
            key: np.array(numbers.split(), float)
            for key, numbers in lines
            if not any(letter.isalpha() and letter != "e" for letter in numbers)
        }

    camera, laser = entries(day / "calib_cam_to_cam.txt"), entries(day / "calib_velo_to_cam.txt")
    cam_T_velo, rectify = np.eye(4), np.eye(4)
    cam_T_velo[:3, :3], cam_T_velo[:3, 3] = laser["R"].reshape(3, 3), laser["T"]
    rectify[:3, :3] = camera["R_rect_00"].reshape(3, 3)
    return camera["P_rect_02"].reshape(3, 4) @ rectify @ cam_T_velo


def _pinhole(fx: float, fy: float, cx: float, cy: float) -> Float64[np.ndarray, "3 3"]:
    return np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])


def _image(path: Path) -> UInt8[np.ndarray, "h w 3"]:
    return np.asarray(Image.open(path).convert("RGB"))


def _array(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path))
