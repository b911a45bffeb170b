"""Images of a dataset with their targets, at the training size."""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Field, Pixels, Size
from rilievo.data.datasets import find_dataset, open_dataset
from rilievo.data.datasets.dataset import Dataset
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import OptionName, Text, count_text
from rilievo.models.resampling.preparation import Preparation
from rilievo.records.sample import Truth
from rilievo.training.arrays import StoredNormals
from rilievo.training.networks.blueprint import Blueprint, ProbeTarget
from rilievo.training.probe.probe_config import DataChoice

_MAX_CACHED_BYTES = 4096e6
"""Size of the frames that are kept in memory [bytes]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFrame:
    """One image with its targets, which are 0 where there is no truth.

    Attributes:
        image: RGB in 0..255.
        depth: True depth in the unit of the dataset.
        normals: True unit normals in the camera frame, towards the camera.
        missing_targets: Targets that the dataset does not have, of "depth" and "normals".
    """

    image: Pixels
    depth: Field
    normals: StoredNormals
    missing_targets: tuple[str, ...] = ()

    def has_targets_for(self, task: ProbeTarget) -> bool:
        """Whether the image has a pixel from which the task can learn."""
        has_depth = task.has_depth and self.depth.any()
        has_normals = task.has_normals and self.normals.any()
        return bool(has_depth or has_normals)

    def check_targets(self, image_id: str, task: ProbeTarget) -> None:
        """Raise ``InputError`` if the dataset does not have the targets of the task."""
        is_needed = {"depth": task.has_depth, "normals": task.has_normals}
        needed_but_missing = [target for target in self.missing_targets if is_needed[target]]
        if not needed_but_missing:
            return
        possible_tasks = [target for target in is_needed if target not in self.missing_targets]
        advice = f", or train for {possible_tasks[0]} alone" if possible_tasks else ""
        raise InputError(
            f"image '{image_id}' has no ground-truth {needed_but_missing[0]}, which the task "
            f"'{task}' needs: choose another dataset or variant{advice}"
        )


class TargetFrames:
    """Images of a part of a dataset with their targets, kept in memory as far as they fit."""

    def __init__(
        self,
        dataset: Dataset,
        ids: tuple[str, ...],
        data: DataChoice,
        *,
        preparation: Preparation,
        max_depth: float,
        needs_focal: bool = False,
    ) -> None:
        """Prepare to read the images ``ids`` of a dataset, cut to the window of ``data``.

        ``max_depth`` is the largest depth to learn from, in the unit of the dataset. With
        ``needs_focal``, depth is divided by the focal length in units of the image width.
        """
        self.dataset = dataset
        self.ids = ids
        self._window = data.window
        self._max_depth = max_depth
        self._preparation = preparation
        self._needs_focal = needs_focal
        self._cache: dict[int, ProbeFrame] = {}
        self._free_bytes = _MAX_CACHED_BYTES

    def __len__(self) -> int:
        return len(self.ids)

    def frame(self, index: int) -> ProbeFrame:
        """Read an image with its targets, which are resized by the nearest pixel."""
        if index in self._cache:
            return self._cache[index]
        frame = self._read_frame(index)
        frame_bytes = frame.image.nbytes + frame.depth.nbytes + frame.normals.nbytes
        if frame_bytes <= self._free_bytes:
            self._free_bytes -= frame_bytes
            self._cache[index] = frame
        return frame

    def _read_frame(self, index: int) -> ProbeFrame:
        """Cut an image and its targets to the window, and resize them to the training size."""
        image_id = self.ids[index]
        image = self.dataset.image(image_id)
        truth = self.dataset.truth(image_id)
        rows, columns = self._window_rows_and_columns(image_id, image.shape[:2])
        window = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        size = self._preparation.size((len(rows), len(columns)))
        target_pixels = np.ix_(_nearest_indices(rows, size[0]), _nearest_indices(columns, size[1]))
        return ProbeFrame(
            image=np.array(self._preparation.pixels(np.ascontiguousarray(window))),
            depth=self._depth_or_zero(truth, size, target_pixels, width=len(columns)),
            normals=self._normals_or_zero(truth, size, target_pixels),
            missing_targets=tuple(
                target for target in ("depth", "normals") if getattr(truth, target) is None
            ),
        )

    def _window_rows_and_columns(
        self, image_id: str, shape: tuple[int, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the rows and columns of the window; ``InputError`` if it is too large."""
        height, width = shape
        top, bottom, left, right = self._window or (0, height, 0, width)
        if bottom > height or right > width:
            raise InputError(
                f"image '{image_id}' has {width}x{height} pixels, so the window of rows {top} to "
                f"{bottom} and columns {left} to {right} does not fit: choose a smaller window"
            )
        return np.arange(top, bottom), np.arange(left, right)

    def _depth_or_zero(
        self, truth: Truth, size: Size, pixels: tuple[np.ndarray, ...], *, width: int
    ) -> Field:
        """True depth at ``pixels``; 0 where it is unknown or too large.

        With ``needs_focal``, it is divided by the focal length in units of ``width``, that of the
        window [px].
        """
        if truth.depth is None:
            return np.zeros(size, np.float32)
        assert truth.depth_valid is not None, "a depth map has a mask of valid pixels"
        depth, valid = truth.depth[pixels], truth.depth_valid[pixels]
        factor = np.float32(1)
        if self._needs_focal:
            if truth.camera is None:
                raise InputError(
                    f"image '{truth.id}' has no camera, but this network learns depth divided by "
                    "the focal length: choose a dataset with cameras, or another network"
                )
            quantity = "depth divided by the horizontal focal length (in image widths)"
            K = truth.camera.needs_pinhole(quantity)
            factor = np.float32(width / K[0, 0])
        return np.where(valid & (depth <= self._max_depth), depth * factor, np.float32(0))

    def _normals_or_zero(
        self, truth: Truth, size: Size, pixels: tuple[np.ndarray, ...]
    ) -> StoredNormals:
        if truth.normals is None:
            return np.zeros((3, *size), np.float16)
        assert truth.normals_valid is not None, "a map of normals has a mask of valid pixels"
        normals = truth.normals[:, *pixels]
        return np.where(truth.normals_valid[pixels], normals, np.float32(0)).astype(np.float16)


def describe_first_target(frames: TargetFrames, task: ProbeTarget | None = None) -> str:
    """Describe the targets of the first image in a line, after checking that the task has them."""
    frame = frames.frame(0)
    image_id = frames.ids[0]
    if task is not None:
        frame.check_targets(image_id, task)
    descriptions = []
    if "depth" not in frame.missing_targets:
        is_metric = frames.dataset.truth(image_id).is_metric
        descriptions.append(_describe_depth(frame.depth, is_metric=is_metric))
    if "normals" not in frame.missing_targets:
        descriptions.append(f"normals at {frame.normals.any(axis=0).mean():.0%} of its pixels")
    contents = " and ".join(descriptions) or "neither depth nor normals"
    return f"ground truth of the first image, {image_id}: {contents}"


def _describe_depth(depth: Field, *, is_metric: bool) -> str:
    """Describe how much of an image has depth, and its range; unknown depth is 0."""
    known_depths = depth[depth > 0]
    coverage = f"depth at {known_depths.size / depth.size:.0%} of its pixels"
    if not known_depths.size:
        return coverage
    unit = " m" if is_metric else ""
    return f"{coverage}, {known_depths.min():.3g} to {known_depths.max():.3g}{unit}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFrames:
    """Images to train on, and images to validate on."""

    training: TargetFrames
    held_out: TargetFrames


def open_frames(data: DataChoice, blueprint: Blueprint) -> TrainingFrames:
    """Open the images of a dataset as a network sees them, and hold out the last ones."""
    dataset = open_training_set(data)

    def make_frames(ids: tuple[str, ...]) -> TargetFrames:
        """Make the frames of some images."""
        return TargetFrames(
            dataset,
            ids,
            data,
            preparation=blueprint.preparation,
            max_depth=blueprint.depth.largest,
        )

    training_ids, held_out_ids = split_ids(dataset, data)
    return TrainingFrames(training=make_frames(training_ids), held_out=make_frames(held_out_ids))


def open_training_set(data: DataChoice) -> Dataset:
    """Open the dataset of a run; ``InputError`` if its split has no images."""
    split = data.split or _default_split(data.dataset)
    dataset = open_dataset(
        data.dataset, data.root, split=split, variant=data.variant, list_file=data.list_file
    )
    if not dataset.ids:
        raise InputError(
            f"dataset '{data.dataset}': found no image of the split "
            f"'{split}'{dataset.first_missing}"
        )
    return dataset


def _default_split(dataset_name: str) -> str:
    """Split "train" if the dataset has one, otherwise its first split; "all" for a folder."""
    first_split, *other_splits = find_dataset(dataset_name).card.splits
    # A user's own folder may declare splits, and its first split then still has all images.
    if first_split != "all" and "train" in other_splits:
        return "train"
    return first_split


def split_ids(dataset: Dataset, data: DataChoice) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ids of the images to train on, and of the held-out ones, which are the last."""
    ids = dataset.ids[: data.limit]
    num_training = len(ids) - data.held_out
    if num_training < 1:
        raise OptionError(
            f"dataset '{data.dataset}': of {count_text(len(ids), 'image')}, the last "
            f"{data.held_out} are to be held out, so none is left to train on",
            hint=Text("use a smaller ", OptionName("held_out")),
        )
    return ids[:num_training], ids[num_training:]


def _nearest_indices(indices: np.ndarray, count: int) -> np.ndarray:
    """Choose ``count`` of the rows or columns, as resizing by the nearest pixel does."""
    centres = (np.arange(count) + 0.5) * len(indices) / count
    return indices[centres.astype(int)]
