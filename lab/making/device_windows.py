"""Windows that turned cameras cut out of frames, a whole batch at once on the device.

The geometry is that of ``turning.py``: images are related by the homography K R⁻¹ K'⁻¹, and depth
along a ray changes by the factor 1 / w. A plain crop is a window of a camera that is not turned.
"""

import math
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Float32
from torch import Tensor

from lab.making.device_store import EMPTY, NO_NORMAL, SKY, StoredFrames

_LEAST = 0.55
"""Least side of a plain crop, as a share of the largest."""
_ENLARGED = 1.8
"""Largest enlargement of a frame."""
_LARGEST = 2.5
"""Largest pitch and yaw, in standard deviations."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turns:
    """Turns of cameras.

    Attributes:
        share: Share of the frames seen by a turned camera.
        pitch: Standard deviation of pitch and yaw [degrees].
        roll: Standard deviation of roll [degrees].
        most_roll: Largest roll [degrees].
    """

    share: float = 0.25
    pitch: float = 4.0
    roll: float = 12.0
    most_roll: float = 40.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Views of cameras: images of one shape with their targets.

    Attributes:
        image: sRGB in 0..255.
        log_depth: Natural logarithm of depth, 0 where ``valid`` is not.
        normals: Unit normals in the camera frame, towards the camera.
    """

    image: Float32[Tensor, "b 3 h w"]
    log_depth: Float32[Tensor, "b h w"]
    valid: Bool[Tensor, "b h w"]
    sky: Bool[Tensor, "b h w"]
    normals: Float32[Tensor, "b 3 h w"]
    normals_valid: Bool[Tensor, "b h w"]
    camera: Float32[Tensor, "b 4"]


def windows(
    frames: StoredFrames,
    rows: Tensor,
    shape: tuple[int, int],
    turns: Turns,
    random: torch.Generator,
) -> Windows:
    """Cut a window of ``shape`` out of each of the frames of some rows; half are mirrored."""
    device, count = frames.image.device, len(rows)

    def uniform(low: float, high: float) -> Float32[Tensor, "b"]:
        return torch.rand(count, device=device, generator=random) * (high - low) + low

    def normal() -> Float32[Tensor, "b"]:
        return torch.randn(count, device=device, generator=random)

    camera, is_turned = frames.camera[rows], uniform(0, 1) < turns.share
    height, width = frames.size
    # A telephoto lens turned further would no longer see the middle of its image.
    half = camera.new_tensor([height, width]) / 2 / camera[:, [1, 0]]
    most = torch.atan(half) / 2
    most = torch.minimum(most, torch.full_like(most, math.radians(turns.pitch * _LARGEST)))
    pitch, yaw = (
        torch.clamp(normal() * math.radians(turns.pitch), -limit, limit) for limit in most.T
    )
    largest = math.radians(turns.most_roll)
    roll = (normal() * math.radians(turns.roll)).clamp(-largest, largest)
    angles = torch.stack([pitch, yaw, roll], dim=1) * is_turned[:, None]
    R = rotations(angles)
    enlarged = max(1.0, shape[0] / height, shape[1] / width)
    least = min(1.0, max(_LEAST * enlarged, enlarged / _ENLARGED))
    plain = torch.where(uniform(0, 1) < 0.35, torch.ones_like(pitch), uniform(least, 1.0))
    scale = torch.where(is_turned, uniform(0.85, 1.0), plain)
    reach = torch.where(is_turned, 0.5, 0.2)
    shift = torch.stack([uniform(-1, 1), uniform(-1, 1)], dim=1) * reach[:, None]
    seen = seen_camera(camera, (height, width), R, shape, scale, shift)
    return cut(frames, rows, R, seen, shape, mirrored=uniform(0, 1) < 0.5)


def rotations(angles: Float[Tensor, "b 3"]) -> Float[Tensor, "b 3 3"]:
    """Rotation matrices of axes times angles [rad] (the formula of Rodrigues)."""
    x, y, z = angles.unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1).view(-1, 3, 3)
    angle = angles.norm(dim=1).clamp(min=1e-6)[:, None, None]
    one = torch.eye(3, device=angles.device, dtype=angles.dtype)
    first = torch.sin(angle) / angle
    return one + first * cross + (1 - torch.cos(angle)) / angle**2 * (cross @ cross)


def seen_camera(
    camera: Float32[Tensor, "b 4"],
    size: tuple[int, int],
    R: Float32[Tensor, "b 3 3"],
    shape: tuple[int, int],
    scale: Float32[Tensor, "b"],
    shift: Float32[Tensor, "b 2"],
) -> Float32[Tensor, "b 4"]:
    """Turned cameras with square pixels whose images of ``shape`` lie in their frames.

    Their fields of view are the share ``scale`` of the largest ones, and ``shift`` the offset of
    the middle (down, right) as a share of the room left by that.
    """
    height, width = size
    borders = camera.new_tensor([
        [1, 0, 0.5], [-1, 0, width - 0.5], [0, 1, 0.5], [0, -1, height - 0.5]
    ])  # fmt: skip
    # Borders n of the frame in the turned camera: n (x, y, 1) is positive inside.
    x, y, inside = (borders @ _matrix(camera) @ R.transpose(1, 2)).unbind(2)
    aspect = shape[1] / shape[0]
    largest = (inside / (x.abs() * aspect + y.abs())).amin(dim=1)
    half, room = scale * largest, 2 * (1 - scale) * largest
    focal = shape[0] / (2 * half)
    return torch.stack(
        [
            focal,
            focal,
            (shape[1] - 1) / 2 - focal * shift[:, 1] * room * aspect,
            (shape[0] - 1) / 2 - focal * shift[:, 0] * room,
        ],
        dim=1,
    )


def cut(
    frames: StoredFrames,
    rows: Tensor,
    R: Float32[Tensor, "b 3 3"],
    camera: Float32[Tensor, "b 4"],
    shape: tuple[int, int],
    *,
    mirrored: Bool[Tensor, "b"],
) -> Windows:
    """Frames as turned cameras see them, targets by nearest pixel; some mirrored after that."""
    device, (height, width) = rows.device, frames.size
    H = _matrix(frames.camera[rows]) @ R.transpose(1, 2) @ torch.linalg.inv(_matrix(camera))
    # Twice as many samples each way as pixels, whose means are free of aliasing down to half size.
    fine = _sampled(frames, rows, H, (2 * shape[0], 2 * shape[1]), mirrored)
    image = F.avg_pool2d(fine, 2)
    x, y, w = _seen_points(H, shape, mirrored, 1.0)
    columns, lines = torch.round(x), torch.round(y)
    inside = (lines >= 0) & (lines < height) & (columns >= 0) & (columns < width)
    pick = (lines.clamp(0, height - 1) * width + columns.clamp(0, width - 1)).long()
    pick = pick.view(len(rows), -1)
    marks = frames.marks.view(len(frames), -1)[rows[:, None], pick].view(-1, *shape)
    log_depth = frames.log_depth.view(len(frames), -1)[rows[:, None], pick].view(-1, *shape)
    normals = frames.normals.view(len(frames), 3, -1).transpose(1, 2)[rows[:, None], pick]
    turned = (normals.float() / 127) @ R.transpose(1, 2)
    sign = torch.where(mirrored, -1.0, 1.0)
    turned = torch.cat([turned[..., :1] * sign[:, None, None], turned[..., 1:]], dim=2)
    valid = inside & (marks & EMPTY == 0)
    fx, fy, cx, cy = camera.unbind(1)
    cx = torch.where(mirrored, shape[1] - 1 - cx, cx)
    return Windows(
        image=image,
        log_depth=torch.where(valid, log_depth.float() - torch.log(w), 0.0),
        valid=valid,
        sky=inside & (marks & SKY != 0),
        normals=turned.transpose(1, 2).reshape(-1, 3, *shape),
        normals_valid=inside & (marks & NO_NORMAL == 0),
        camera=torch.stack([fx, fy, cx, cy], dim=1).to(device),
    )


def _sampled(
    frames: StoredFrames,
    rows: Tensor,
    H: Float32[Tensor, "b 3 3"],
    shape: tuple[int, int],
    mirrored: Bool[Tensor, "b"],
) -> Float32[Tensor, "b 3 h w"]:
    """Images sampled at twice the density of a window's pixels, linearly."""
    height, width = frames.size
    x, y, _ = _seen_points(H, shape, mirrored, 0.5)
    grid = torch.stack([(2 * x + 1) / width - 1, (2 * y + 1) / height - 1], dim=-1)
    picture = frames.image[rows].float()
    return F.grid_sample(picture, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _seen_points(
    H: Float32[Tensor, "b 3 3"],
    shape: tuple[int, int],
    mirrored: Bool[Tensor, "b"],
    step: float,
) -> tuple[Float32[Tensor, "b h w"], Float32[Tensor, "b h w"], Float32[Tensor, "b h w"]]:
    """Places (x, y) in frames that the pixels of windows come from, and the factor of their depth.

    ``step`` is the distance between places in pixels of a window; a half puts two in each.
    """
    v, u = (
        (torch.arange(side, device=H.device, dtype=torch.float32) + 0.5) * step - 0.5
        for side in shape
    )
    last = shape[1] * step - 1
    u = torch.where(mirrored[:, None], last - u, u)[:, None, :]
    v = v[None, :, None]
    x, y, w = (
        H[:, row, 0, None, None] * u + H[:, row, 1, None, None] * v + H[:, row, 2, None, None]
        for row in range(3)
    )
    return x / w, y / w, w


def _matrix(camera: Float32[Tensor, "b 4"]) -> Float32[Tensor, "b 3 3"]:
    fx, fy, cx, cy = camera.unbind(1)
    zero, one = torch.zeros_like(fx), torch.ones_like(fx)
    return torch.stack([fx, zero, cx, zero, fy, cy, zero, zero, one], dim=1).view(-1, 3, 3)
