"""Points on the surface that a view shows, and the features of a backbone at these points."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from rilievo.arrays.shapes import Float64, Int64, Matrix, Pixels, Transform
from rilievo.data.datasets.dataset import Dataset
from rilievo.errors import InputError
from rilievo.records.sample import Truth
from rilievo.training.correspondence.protocols import Protocol
from rilievo.training.networks.backbones import Backbone
from rilievo.training.networks.features import Features
from rilievo.training.tensors import FeatureMap, Images, to_unit_range

_HALF = 0.5
"""Mean and standard deviation by which Probe3D's program normalises ScanNet."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PosedView:
    """Image with points on the surface that it shows.

    Attributes:
        image: The photograph.
        rows: Row of each point's pixel; ``columns`` is its column.
        points: Points in the camera frame [m].
        K: Intrinsics [px].
        world_T_cam: Pose [m].
    """

    image: Pixels
    rows: Int64[np.ndarray, "n"]
    columns: Int64[np.ndarray, "n"]
    points: Float64[np.ndarray, "n 3"]
    K: Matrix
    world_T_cam: Transform


def read_view(
    dataset: Dataset, image_id: str, protocol: Protocol, *, is_probe3d: bool
) -> PosedView:
    """Read an image, and the points of a grid of its pixels that have depth.

    Raises:
        InputError: If the image has no depth, camera or pose, or a file is broken.
    """
    sample = dataset.sample(image_id)
    K, world_T_cam = _camera_and_pose(sample)
    if sample.depth is None or sample.depth_valid is None:
        raise _missing_error(sample, "depth")
    # As torch does when it reduces a map to the nearest pixels: the first of each step.
    height, width = (side // protocol.step for side in sample.depth.shape)
    grid_rows, grid_columns = np.mgrid[:height, :width] * protocol.step
    valid = sample.depth_valid[grid_rows, grid_columns]
    rows = grid_rows[valid]
    columns = grid_columns[valid]
    depth = sample.depth[rows, columns].astype(np.float64)
    shift = protocol.probe3d_shift if is_probe3d else 0.0
    # Rays through the pixels, (x, y, 1) in normalised image coordinates.
    x = (columns + shift - K[0, 2]) / K[0, 0]
    y = (rows + shift - K[1, 2]) / K[1, 1]
    rays = np.stack([x, y, np.ones_like(x)], axis=1)
    return PosedView(
        image=sample.image,
        rows=rows,
        columns=columns,
        points=rays * depth[:, None],
        K=K,
        world_T_cam=world_T_cam,
    )


def _camera_and_pose(truth: Truth) -> tuple[Matrix, Transform]:
    if truth.camera is None:
        raise _missing_error(truth, "camera")
    if truth.world_T_cam is None:
        raise _missing_error(truth, "pose")
    return truth.camera.needs_pinhole("correspondence between views"), truth.world_T_cam


def _missing_error(truth: Truth, what: str) -> InputError:
    return InputError(f"image '{truth.id}' has no {what}, which scores of correspondence need")


@torch.no_grad()
def features_of_view(
    backbone: Backbone, view: PosedView, protocol: Protocol, *, is_probe3d: bool
) -> Float64[Tensor, "n c"]:
    """Compute the features at the points of a view, with those of several layers side by side."""
    image = to_unit_range(torch.from_numpy(np.ascontiguousarray(view.image))[None])
    image = image.to(backbone.mean.device)
    if is_probe3d and protocol.probe3d_half:
        image = _normalised_by_half(image, backbone)
    features = backbone(image)
    if is_probe3d:
        positions = _probe3d_positions_in_map(view, features, protocol)
    else:
        positions = _positions_in_map(view, features)
    sampled = [_sample(feature_map, positions, protocol) for feature_map in features.maps]
    return torch.cat(sampled, dim=1)


def _normalised_by_half(image: Images, backbone: Backbone) -> Images:
    """Change pixels so that the backbone's own normalisation turns them into (p - 0.5) / 0.5."""
    return (image - _HALF) / _HALF * backbone.std + backbone.mean


def _positions_in_map(view: PosedView, features: Features) -> Float64[np.ndarray, "n 2"]:
    """Positions (x, y) of points in a map, as fractions of its width and height."""
    pixel_centres = np.stack([view.columns, view.rows], axis=1) + 0.5
    # The map shows the padded image, in which the image begins at this pixel.
    image_start = np.array([features.box.left, features.box.top])
    padded_height, padded_width = features.padded
    return (pixel_centres + image_start) / np.array([padded_width, padded_height])


def _probe3d_positions_in_map(
    view: PosedView, features: Features, protocol: Protocol
) -> Float64[np.ndarray, "n 2"]:
    """Positions (x, y) at which Probe3D's program samples a map, as fractions of its size.

    The program enlarges the map of the padded image to the grid of all points. So it ignores the
    padding, and puts each point in the middle of its step of the grid.
    """
    pixel_centres = np.stack([view.columns, view.rows], axis=1) + 0.5
    step_centres = pixel_centres - 0.5 + protocol.step / 2
    return step_centres / np.array([features.box.width, features.box.height])


def _sample(
    feature_map: FeatureMap, positions: Float64[np.ndarray, "n 2"], protocol: Protocol
) -> Float64[Tensor, "n c"]:
    """Interpolate a map between the centres of its pixels."""
    grid = torch.from_numpy(2 * positions - 1).to(feature_map.device)[None, None]
    sampled = nn.functional.grid_sample(
        feature_map.double(),
        grid,
        mode=protocol.interpolation,
        padding_mode=protocol.border,
        align_corners=False,
    )
    return sampled[0, :, 0].T
