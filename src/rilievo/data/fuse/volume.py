"""Truncated signed distance in sparse blocks of voxels (Curless and Levoy, 1996).

Distance in [-1, 1] is along the optical axis (Newcombe et al., 2011), in units of the truncation.
A view does not change voxels far behind its surface, and marks those in front as empty. Marching
cubes (Lewiner et al., 2003) make meshes.
"""

import math

import numpy as np

from rilievo.arrays.shapes import Bool, Field, Float32, Int32, Int64
from rilievo.data.fuse.clip_views import ClipView
from rilievo.errors import InputError
from rilievo.errors.messages import OptionName, Text
from rilievo.geometry.intrinsics import unproject
from rilievo.geometry.transforms import invert, transform, transform_points

BLOCK_SIDE = 8
"""Voxels along a side of a block."""
BLOCK_VOXELS = BLOCK_SIDE**3
VOXEL_BYTES = 14
"""Distance and weight take 32 bits each, and three colours 16 bits each."""
TRUNCATION = 4.0
"""Distance from a surface at which signed distances are truncated [voxels]."""
_BLOCKS_PER_UPDATE = 512
_INITIAL_BLOCKS = 256
_MAX_BLOCK_COORDINATE = 1 << 20
"""Blocks between the origin and the farthest block, so that three coordinates fit into 63 bits."""


class Volume:
    """Signed distances and colours of the voxels near surfaces, fused view by view.

    Args:
        voxel: Side of a voxel in the unit of the poses.
        max_bytes: Memory that the voxels may take.
    """

    def __init__(self, voxel: float, *, max_bytes: int = 1 << 30) -> None:
        self.voxel = voxel
        self._max_bytes = max_bytes
        self._max_blocks = max_bytes // (BLOCK_VOXELS * VOXEL_BYTES)
        self._index_by_key: dict[int, int] = {}
        # Arrays have a row for each block. They have spare rows, so that they rarely grow.
        self._positions = np.zeros((0, 3), np.int32)
        self._distance = np.zeros((0, BLOCK_VOXELS), np.float32)
        self._weight = np.zeros((0, BLOCK_VOXELS), np.float32)
        self._colour = np.zeros((0, BLOCK_VOXELS, 3), np.float16)
        self._enlarge_arrays(min(_INITIAL_BLOCKS, self._max_blocks))
        # Centres of a block's voxels, relative to its first corner.
        steps = np.arange(BLOCK_SIDE, dtype=np.float32) + np.float32(0.5)
        grid = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), axis=-1)
        self._voxel_centres = grid.reshape(-1, 3) * np.float32(voxel)

    @property
    def block_count(self) -> int:
        """Number of blocks."""
        return len(self._index_by_key)

    @property
    def nbytes(self) -> int:
        """Bytes of the voxels."""
        return sum(array.nbytes for array in (self._distance, self._weight, self._colour))

    @property
    def positions(self) -> Int32[np.ndarray, "n 3"]:
        """Integer position of each block in the world, in units of a block's side."""
        return self._positions[: self.block_count]

    def find_block(self, position: tuple[int, int, int]) -> int | None:
        """Index of the block at a position; None if no surface is near it."""
        [key] = _block_keys(np.array([position], np.int32))
        return self._index_by_key.get(int(key))

    def distances(self, block: int) -> Float32[np.ndarray, "8 8 8"]:
        """Signed distances of a block's voxels in [-1, 1]; NaN where no view has seen them."""
        is_seen = self._weight[block] > 0
        distances = np.where(is_seen, self._distance[block], np.float32(np.nan))
        return distances.reshape(BLOCK_SIDE, BLOCK_SIDE, BLOCK_SIDE)

    def colours(self, block: int) -> Float32[np.ndarray, "8 8 8 3"]:
        """Colours of a block's voxels, 0 to 255."""
        colours = self._colour[block].astype(np.float32)
        return colours.reshape(BLOCK_SIDE, BLOCK_SIDE, BLOCK_SIDE, 3)

    def add(self, view: ClipView, weights: Field | None = None) -> None:
        """Fuse a view with depth and pose in the unit of the voxels. Pixels weigh 1 by default.

        Raises:
            InputError: If memory is not enough.
        """
        if not view.valid.any():
            return
        self._allocate_blocks(self._blocks_near_surface(view))
        blocks = self._blocks_in_view(view)
        for start in range(0, len(blocks), _BLOCKS_PER_UPDATE):
            self._update_voxels(blocks[start : start + _BLOCKS_PER_UPDATE], view, weights)

    def _blocks_near_surface(self, view: ClipView) -> Int32[np.ndarray, "m 3"]:
        """Positions of the blocks within the truncation distance of a view's depth."""
        depth = view.depth[view.valid].astype(np.float64)
        truncation = TRUNCATION * self.voxel
        block_side = BLOCK_SIDE * self.voxel
        ray_ends = transform(view.world_T_cam, unproject(np.ones(view.depth.shape), view.K))
        origin = view.world_T_cam[:3, 3]
        directions = ray_ends.reshape(3, -1).T[view.valid.ravel()] - origin
        near, far = depth - truncation, depth + truncation

        # Each ray is sampled from near to far, at most half a block apart on the most slanted one.
        longest_segment = float(2 * truncation * np.linalg.norm(directions, axis=1).max())
        num_samples = max(2, math.ceil(2 * longest_segment / block_side) + 1)
        blocks = np.zeros((0, 3), np.int32)
        for fraction in np.linspace(0, 1, num_samples):
            z = near + fraction * (far - near)
            positions = np.floor((origin + directions * z[:, None]) / block_side)
            farthest = np.abs(positions).max()
            if farthest >= _MAX_BLOCK_COORDINATE:
                raise InputError(
                    f"{view.name}: its surface is {farthest * block_side:g} from the origin, which "
                    f"is too far for voxels of {self.voxel:g}",
                    hint=Text(
                        "use larger voxels (",
                        OptionName("voxel"),
                        ") or leave out distant depth (",
                        OptionName("farthest"),
                        ")",
                    ),
                )
            blocks = np.concatenate([blocks, _distinct_positions(positions.astype(np.int32))])
        return _distinct_positions(blocks)

    def _allocate_blocks(self, positions: Int32[np.ndarray, "m 3"]) -> None:
        """Add the blocks that are missing, if they fit into memory."""
        keys = _block_keys(positions).tolist()
        missing = [index for index, key in enumerate(keys) if key not in self._index_by_key]
        needed_blocks = self.block_count + len(missing)
        if needed_blocks > self._max_blocks:
            raise InputError(
                problem=Text(
                    f"the surface needs more than {self._max_bytes / 1e6:.0f} MB at voxels of "
                    f"{self.voxel:g}; use larger voxels (",
                    OptionName("voxel"),
                    ") or leave out distant depth (",
                    OptionName("farthest"),
                    ")",
                )
            )
        allocated_blocks = len(self._positions)
        if needed_blocks > allocated_blocks:
            grown = max(needed_blocks, 3 * allocated_blocks // 2)
            self._enlarge_arrays(min(self._max_blocks, grown))
        for index in missing:
            block = self.block_count
            self._index_by_key[keys[index]] = block
            self._positions[block] = positions[index]

    def _enlarge_arrays(self, num_blocks: int) -> None:
        num_new = num_blocks - len(self._positions)
        shape = (num_new, BLOCK_VOXELS)
        self._positions = np.concatenate([self._positions, np.zeros((num_new, 3), np.int32)])
        self._distance = np.concatenate([self._distance, np.zeros(shape, np.float32)])
        self._weight = np.concatenate([self._weight, np.zeros(shape, np.float32)])
        self._colour = np.concatenate([self._colour, np.zeros((*shape, 3), np.float16)])

    def _blocks_in_view(self, view: ClipView) -> Int64[np.ndarray, "m"]:
        """Indices of the blocks that reach into a view, up to just behind its farthest surface.

        Blocks are taken for their bounding spheres.
        """
        block_side = BLOCK_SIDE * self.voxel
        radius = math.sqrt(3) / 2 * block_side
        centres = (self.positions.astype(np.float64) + 0.5) * block_side
        x, y, z = transform_points(invert(view.world_T_cam), centres.T)
        farthest = float(view.depth[view.valid].max())
        is_in_view = (z > -radius) & (z < farthest + TRUNCATION * self.voxel + radius)

        # A side of the frustum is the plane x = slope z. A sphere reaches into the frustum if its
        # centre is inside, or nearer to the plane than its radius.
        height, width = view.depth.shape
        for coordinate, focal, centre, size in (
            (x, view.K[0, 0], view.K[0, 2], width),
            (y, view.K[1, 1], view.K[1, 2], height),
        ):
            low_slope = (-0.5 - centre) / focal
            high_slope = (size - 0.5 - centre) / focal
            is_in_view &= coordinate - low_slope * z > -radius * math.hypot(1, low_slope)
            is_in_view &= high_slope * z - coordinate > -radius * math.hypot(1, high_slope)
        return np.flatnonzero(is_in_view)

    def _update_voxels(
        self, blocks: Int64[np.ndarray, "m"], view: ClipView, weights: Field | None
    ) -> None:
        """Integrate a view into the voxels of blocks: signed distance (TSDF) and colour."""
        cam_T_world = invert(view.world_T_cam)
        R, t = cam_T_world[:3, :3], cam_T_world[:3, 3]
        corners = self._positions[blocks] * (BLOCK_SIDE * self.voxel)
        corners = (corners @ R.T + t).astype(np.float32)
        points = corners[:, None, :] + (self._voxel_centres @ R.T.astype(np.float32))[None]

        # Voxels far behind the surface stay as they are.
        pixels, is_updated = _project_to_flat_pixels(points, view)
        truncation = np.float32(TRUNCATION * self.voxel)
        signed_distance = view.depth.ravel()[pixels] - points[..., 2]
        is_updated &= view.valid.ravel()[pixels] & (signed_distance > -truncation)
        # One entry for each voxel to update. ``row`` counts in ``blocks``, ``block`` in the volume.
        row, voxel = np.nonzero(is_updated)
        block, pixel = blocks[row], pixels[row, voxel]

        # Running mean: each view moves the mean by its fraction of the total weight.
        measured = np.minimum(signed_distance[row, voxel] / truncation, np.float32(1))
        added_weight = np.float32(1) if weights is None else weights.ravel()[pixel]
        new_weight = self._weight[block, voxel] + added_weight
        fraction = added_weight / np.maximum(new_weight, np.float32(1e-12))
        self._weight[block, voxel] = new_weight
        self._distance[block, voxel] += fraction * (measured - self._distance[block, voxel])

        # Colours are needed near surfaces alone.
        near = np.abs(measured) < 1
        near_fraction = np.broadcast_to(fraction, near.shape)[near]
        view_colour = view.pixels.reshape(-1, 3)[pixel[near]].astype(np.float32)
        self._update_colour(block[near], voxel[near], view_colour, near_fraction)

    def _update_colour(
        self,
        block: Int64[np.ndarray, "n"],
        voxel: Int64[np.ndarray, "n"],
        view_colour: Float32[np.ndarray, "n 3"],
        fraction: Float32[np.ndarray, "n"],
    ) -> None:
        """Move the colour of voxels towards that of a view, by a fraction of the difference.

        A voxel without colour takes that of the view. Such a voxel is black (0), since views that
        saw it empty gave it weight but no colour.
        """
        colour = self._colour[block, voxel].astype(np.float32)
        has_colour = colour.any(axis=1)
        fraction = np.where(has_colour, fraction, np.float32(1))
        self._colour[block, voxel] = colour + fraction[:, None] * (view_colour - colour)


def _project_to_flat_pixels(
    points: Float32[np.ndarray, "m k 3"], view: ClipView
) -> tuple[Int64[np.ndarray, "m k"], Bool[np.ndarray, "m k"]]:
    """Return the row-major index of the pixel that shows each point, and whether one does."""
    height, width = view.depth.shape
    K = view.K.astype(np.float32)
    z = np.maximum(points[..., 2], np.float32(1e-6))
    u = np.rint(points[..., 0] / z * K[0, 0] + K[0, 2])
    v = np.rint(points[..., 1] / z * K[1, 1] + K[1, 2])
    is_inside = (points[..., 2] > 1e-6) & (u >= 0) & (u < width) & (v >= 0) & (v < height)
    pixels = np.where(is_inside, v * width + u, 0).astype(np.int64)
    return pixels, is_inside


def _block_keys(positions: Int32[np.ndarray, "n 3"]) -> Int64[np.ndarray, "n"]:
    """Pack each position into one integer, with 21 bits for each coordinate."""
    x, y, z = (positions.astype(np.int64) + _MAX_BLOCK_COORDINATE).T
    return (x << 42) | (y << 21) | z


def _distinct_positions(positions: Int32[np.ndarray, "n 3"]) -> Int32[np.ndarray, "m 3"]:
    _, first = np.unique(_block_keys(positions), return_index=True)
    return positions[first]
