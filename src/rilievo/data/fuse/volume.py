"""Truncated signed distance in sparse blocks of voxels (Curless and Levoy, 1996).

Distance in [-1, 1] is along the optical axis (Newcombe et al., 2011). Voxels far behind a surface
learn nothing; those in front are empty. Marching cubes (Lewiner et al., 2003) make meshes.
"""

import math

import numpy as np

from rilievo.arrays.shapes import Bool, Field, Float32, Int32, Int64
from rilievo.data.fuse.clip_views import ClipView
from rilievo.errors import InputError
from rilievo.errors.messages import OptionName, Text
from rilievo.geometry.intrinsics import unproject
from rilievo.geometry.transforms import invert, transform, transform_points

SIDE = 8  # voxels along a block
VOXELS = SIDE**3
VOXEL_BYTES = 14  # distance and weight in 32 bits, three colours in 16
TRUNCATION = 4.0  # voxels
_AT_ONCE = 512
_FIRST = 256
_REACH = 1 << 20


class Volume:
    """Signed distances and colours, fused view by view; ``voxel`` is in the unit of the poses."""

    def __init__(self, voxel: float, *, most_bytes: int = 1 << 30) -> None:
        self.voxel, self._most_bytes = voxel, most_bytes
        self._most_blocks = most_bytes // (VOXELS * VOXEL_BYTES)
        self._slots: dict[int, int] = {}
        self._places = np.zeros((0, 3), np.int32)
        self._distance = np.zeros((0, VOXELS), np.float32)
        self._weight = np.zeros((0, VOXELS), np.float32)
        self._colour = np.zeros((0, VOXELS, 3), np.float16)
        self._enlarge_arrays(min(_FIRST, self._most_blocks))
        steps = np.arange(SIDE, dtype=np.float32) + np.float32(0.5)
        grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
        self._offsets = grid.reshape(-1, 3) * np.float32(voxel)

    @property
    def block_count(self) -> int:
        """Number of blocks."""
        return len(self._slots)

    @property
    def nbytes(self) -> int:
        """Bytes of voxels."""
        return sum(array.nbytes for array in (self._distance, self._weight, self._colour))

    @property
    def places(self) -> Int32[np.ndarray, "n 3"]:
        """Position of each block, in blocks."""
        return self._places[: self.block_count]

    def block(self, place: tuple[int, int, int]) -> int | None:
        """Number of a block, if it exists."""
        return self._slots.get(int(_keys_of_blocks(np.array([place], np.int32))[0]))

    def distance_of(self, block: int) -> Float32[np.ndarray, "8 8 8"]:
        """Distances, NaN where unseen."""
        valid = self._weight[block] > 0
        values = np.where(valid, self._distance[block], np.float32(np.nan))
        return values.reshape(SIDE, SIDE, SIDE)

    def colour_of(self, block: int) -> Float32[np.ndarray, "8 8 8 3"]:
        """Colours, 0 to 255."""
        return self._colour[block].astype(np.float32).reshape(SIDE, SIDE, SIDE, 3)

    def add(self, view: ClipView, weights: Field | None = None) -> None:
        """Fuse one view with depth and pose in the unit of voxels.

        Raises:
            InputError: If memory is not enough.
        """
        if not view.valid.any():
            return
        self._allocate_blocks(self._blocks_near_surface(view))
        block_numbers = self._numbers_of_blocks_in_view(view)
        for first in range(0, len(block_numbers), _AT_ONCE):
            self._update_voxels(block_numbers[first : first + _AT_ONCE], view, weights)

    def _blocks_near_surface(self, view: ClipView) -> Int32[np.ndarray, "m 3"]:
        """Positions of blocks within the truncation of depth."""
        depth = np.where(view.valid, view.depth, np.float32(1)).astype(np.float64)
        reach = TRUNCATION * self.voxel
        side = SIDE * self.voxel
        rays = transform(view.world_T_cam, unproject(np.ones_like(depth), view.K))
        origin = view.world_T_cam[:3, 3]
        directions = rays.reshape(3, -1).T[view.valid.ravel()] - origin
        near, far = (depth - reach)[view.valid], (depth + reach)[view.valid]
        # The longest way between samples is half a block, along the slantest ray.
        longest = float(2 * reach * np.linalg.norm(directions, axis=1).max())
        steps = max(2, math.ceil(2 * longest / side) + 1)
        positions = np.zeros((0, 3), np.int32)
        for share in np.linspace(0, 1, steps):
            z = near + share * (far - near)
            places = np.floor((origin + directions * z[:, None]) / side)
            if np.abs(places).max() >= _REACH:
                raise InputError(
                    f"{view.name}: its surface is {np.abs(places).max() * side:g} from the origin, "
                    f"too far for voxels of {self.voxel:g}"
                )
            positions = np.concatenate([positions, _distinct_rows(places.astype(np.int32))])
        return _distinct_rows(positions)

    def _allocate_blocks(self, places: Int32[np.ndarray, "m 3"]) -> None:
        """Add blocks that are missing; refuse too many."""
        keys = _keys_of_blocks(places).tolist()
        new = [index for index, key in enumerate(keys) if key not in self._slots]
        needed = self.block_count + len(new)
        if needed > self._most_blocks:
            raise InputError(
                problem=Text(
                    f"the surface needs more than {self._most_bytes / 1e6:.0f} MB "
                    f"at voxels of {self.voxel:g}: take larger voxels (",
                    OptionName("voxel"),
                    ") or leave far depth out (",
                    OptionName("farthest"),
                    ")",
                )
            )
        if needed > len(self._places):
            self._enlarge_arrays(min(self._most_blocks, max(needed, 3 * len(self._places) // 2)))
        for index in new:
            slot = len(self._slots)
            self._slots[keys[index]] = slot
            self._places[slot] = places[index]

    def _enlarge_arrays(self, blocks: int) -> None:
        more = blocks - len(self._places)
        self._places = np.concatenate([self._places, np.zeros((more, 3), np.int32)])
        self._distance = np.concatenate([self._distance, np.zeros((more, VOXELS), np.float32)])
        self._weight = np.concatenate([self._weight, np.zeros((more, VOXELS), np.float32)])
        self._colour = np.concatenate([self._colour, np.zeros((more, VOXELS, 3), np.float16)])

    def _numbers_of_blocks_in_view(self, view: ClipView) -> Int64[np.ndarray, "m"]:
        side = SIDE * self.voxel
        radius = math.sqrt(3) / 2 * side
        centres = (self.places.astype(np.float64) + 0.5) * side
        x, y, z = transform_points(invert(view.world_T_cam), centres.T)
        height, width = view.depth.shape
        farthest = float(view.depth[view.valid].max())
        visible = (z > -radius) & (z < farthest + TRUNCATION * self.voxel + radius)
        # A block is in the view if its centre is nearer than its radius to the frustum's sides.
        for axis, focal, centre, size in (
            (x, view.K[0, 0], view.K[0, 2], width),
            (y, view.K[1, 1], view.K[1, 2], height),
        ):
            low, high = (-0.5 - centre) / focal, (size - 0.5 - centre) / focal
            visible &= axis - low * z > -radius * math.hypot(1, low)
            visible &= high * z - axis > -radius * math.hypot(1, high)
        return np.flatnonzero(visible)

    def _update_voxels(
        self,
        blocks: Int64[np.ndarray, "m"],
        view: ClipView,
        weights: Field | None,
    ) -> None:
        cam_T_world = invert(view.world_T_cam)
        R, t = cam_T_world[:3, :3], cam_T_world[:3, 3]
        corners = self._places[blocks] * (SIDE * self.voxel)
        corners = (corners @ R.T + t).astype(np.float32)
        points = corners[:, None, :] + (self._offsets @ R.T.astype(np.float32))[None]
        pixel, inside = _flat_pixels_and_inside(points, view)
        depth = view.depth.ravel()[pixel]
        reach = np.float32(TRUNCATION * self.voxel)
        ahead = depth - points[..., 2]
        inside &= view.valid.ravel()[pixel] & (ahead > -reach)
        row, voxel = np.nonzero(inside)
        slot, pixel = blocks[row], pixel[row, voxel]
        value = np.minimum(ahead[row, voxel] / reach, np.float32(1))
        gained = np.float32(1) if weights is None else weights.ravel()[pixel]
        before = self._weight[slot, voxel]
        after = before + gained
        share = gained / np.maximum(after, np.float32(1e-12))
        self._weight[slot, voxel] = after
        self._distance[slot, voxel] += share * (value - self._distance[slot, voxel])
        # Empty space has the colour of what is seen through it, which nobody asks for.
        near = np.abs(value) < 1
        slot, voxel, share = slot[near], voxel[near], np.broadcast_to(share, near.shape)[near]
        old = self._colour[slot, voxel].astype(np.float32)
        new = view.pixels.reshape(-1, 3)[pixel[near]].astype(np.float32)
        # Views that saw empty space here gave weight but no colour.
        share = np.where(old.any(axis=1), share, np.float32(1))
        self._colour[slot, voxel] = old + share[:, None] * (new - old)


def _flat_pixels_and_inside(
    points: Float32[np.ndarray, "m k 3"], view: ClipView
) -> tuple[Int64[np.ndarray, "m k"], Bool[np.ndarray, "m k"]]:
    height, width = view.depth.shape
    K = view.K.astype(np.float32)
    z = np.maximum(points[..., 2], np.float32(1e-6))
    u = np.rint(points[..., 0] / z * K[0, 0] + K[0, 2])
    v = np.rint(points[..., 1] / z * K[1, 1] + K[1, 2])
    inside = (points[..., 2] > 1e-6) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    number = np.where(inside, v * width + u, 0).astype(np.int64)
    return number, inside


def _keys_of_blocks(places: Int32[np.ndarray, "n 3"]) -> Int64[np.ndarray, "n"]:
    x, y, z = (places.astype(np.int64) + _REACH).T
    return (x << 42) | (y << 21) | z


def _distinct_rows(places: Int32[np.ndarray, "n 3"]) -> Int32[np.ndarray, "m 3"]:
    _, first = np.unique(_keys_of_blocks(places), return_index=True)
    return places[first]
