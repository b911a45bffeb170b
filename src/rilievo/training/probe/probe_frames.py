"""Images of a dataset with their targets, at the training size."""

from dataclasses import dataclass

import numpy as np

from rilievo.arrays.shapes import Field, Pixels, Size
from rilievo.data.datasets import Dataset, find_dataset, open_dataset
from rilievo.errors import InputError, OptionError
from rilievo.models.resampling.preparation import Preparation
from rilievo.records.sample import Truth
from rilievo.training.adapters.run_models import probe_preparation
from rilievo.training.arrays import StoredNormals
from rilievo.training.networks.blueprint import ProbeTarget
from rilievo.training.probe.probe_config import DataChoice, ProbeConfig

_MAX_CACHED_BYTES = 4096e6
"""Size of the frames that are kept in memory [bytes]."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeFrame:
    """One image with its targets, which are 0 where there is no truth.

    Attributes:
        image: RGB in 0..255.
        depth: True depth in the unit of the dataset.
        normals: True unit normals in the camera frame, towards the camera.
        lacks: Targets that the dataset does not have, of "depth" and "normals".
    """

    image: Pixels
    depth: Field
    normals: StoredNormals
    lacks: tuple[str, ...] = ()

    def teaches(self, task: ProbeTarget) -> bool:
        """Whether the image has a pixel from which the task can learn."""
        return bool(
            (task.has_depth and self.depth.any()) or (task.has_normals and self.normals.any())
        )

    def check(self, id: str, task: ProbeTarget) -> None:
        """Check that the dataset has the targets of the task; ``InputError`` if it has not."""
        is_needed = {"depth": task.has_depth, "normals": task.has_normals}
        missing = [target for target in self.lacks if is_needed[target]]
        if missing:
            raise InputError(
                f"image '{id}' has no true {missing[0]}, which the task '{task}' learns from: "
                "choose another dataset or variant"
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
        largest: float,
        needs_focal: bool = False,
    ) -> None:
        """Prepare to read images.

        Args:
            dataset: Dataset.
            ids: Ids of the images.
            data: Options of the data, of which the window is used.
            preparation: How images are resized.
            largest: Largest depth to learn from, in the unit of the dataset.
            needs_focal: Whether depth is divided by the focal length, in widths of the image.
        """
        self.dataset, self.ids = dataset, ids
        self._window, self._largest, self._preparation = data.window, largest, preparation
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
        id = self.ids[index]
        image, truth = self.dataset.image(id), self.dataset.truth(id)
        rows, columns = self._window_rows_and_columns(id, image.shape[:2])
        window = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        height, width = self._preparation.size((len(rows), len(columns)))
        pixels = np.ix_(_evenly_spread(rows, height), _evenly_spread(columns, width))
        return ProbeFrame(
            image=np.array(self._preparation.pixels(np.ascontiguousarray(window))),
            depth=self._depth_or_zero(truth, (height, width), pixels, width=len(columns)),
            normals=self._normals_or_zero(truth, (height, width), pixels),
            lacks=tuple(
                target for target in ("depth", "normals") if getattr(truth, target) is None
            ),
        )

    def _window_rows_and_columns(
        self, id: str, shape: tuple[int, ...]
    ) -> tuple[np.ndarray, np.ndarray]:
        """Indices of the rows and columns of the window; ``InputError`` if it is too large."""
        top, bottom, left, right = self._window or (0, shape[0], 0, shape[1])
        if bottom > shape[0] or right > shape[1]:
            raise InputError(
                f"image '{id}' is {shape[0]} x {shape[1]}, smaller than the window "
                f"{top}:{bottom}, {left}:{right} (rows, columns)"
            )
        return np.arange(top, bottom), np.arange(left, right)

    def _depth_or_zero(
        self, truth: Truth, size: Size, pixels: tuple[np.ndarray, ...], *, width: int
    ) -> Field:
        if truth.depth is None:
            return np.zeros(size, np.float32)
        assert truth.depth_valid is not None, "comes with depth"
        depth, valid = truth.depth[pixels], truth.depth_valid[pixels]
        factor = np.float32(1)
        if self._needs_focal:
            if truth.camera is None:
                raise InputError(f"image '{truth.id}' has no camera, which this network needs")
            focal = truth.camera.needs_pinhole("depth of a focal length of one width")[0, 0]
            factor = np.float32(width / focal)
        return np.where(valid & (depth <= self._largest), depth * factor, np.float32(0))

    def _normals_or_zero(
        self, truth: Truth, size: Size, pixels: tuple[np.ndarray, ...]
    ) -> StoredNormals:
        if truth.normals is None:
            return np.zeros((3, *size), np.float16)
        assert truth.normals_valid is not None, "comes with normals"
        normals = truth.normals[:, *pixels]
        return np.where(truth.normals_valid[pixels], normals, np.float32(0)).astype(np.float16)


def describe_first_target(frames: TargetFrames, task: ProbeTarget | None = None) -> str:
    """Describe the targets of the first image in a line, after checking that the task has them."""
    frame, id = frames.frame(0), frames.ids[0]
    if task is not None:
        frame.check(id, task)
    depths = frame.depth[frame.depth > 0]
    parts = []
    if "depth" not in frame.lacks:
        parts.append(f"depth at {depths.size / frame.depth.size:.0%} of its pixels")
    if depths.size:
        unit = " m" if frames.dataset.truth(id).is_metric else ""
        parts[-1] += f", {depths.min():.3g} to {depths.max():.3g}{unit}"
    if "normals" not in frame.lacks:
        parts.append(f"normals at {frame.normals.any(axis=0).mean():.0%} of its pixels")
    return f"first target, {id}: {'; '.join(parts) or 'neither depth nor normals'}"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFrames:
    """Images to train on, and images to validate on."""

    training: TargetFrames
    held_out: TargetFrames


def open_frames(config: ProbeConfig) -> TrainingFrames:
    """Open the dataset of a run, and hold out its last images.

    Raises:
        RilievoError: If the dataset cannot be used.
    """
    dataset = open_training_set(config.data)

    def frames_of(ids: tuple[str, ...]) -> TargetFrames:
        return TargetFrames(
            dataset,
            ids,
            config.data,
            preparation=probe_preparation(config.blueprint),
            largest=config.blueprint.depth.largest,
        )

    training_ids, held_out_ids = split_ids(dataset, config.data)
    return TrainingFrames(training=frames_of(training_ids), held_out=frames_of(held_out_ids))


def open_training_set(data: DataChoice) -> Dataset:
    """Open the dataset of a run; ``InputError`` if its split has no images."""
    splits = find_dataset(data.dataset).card.splits
    # A user's own folder has splits only if it declares them.
    default_split = "train" if "train" in splits and splits[0] != "all" else splits[0]
    split = data.split or default_split
    dataset = open_dataset(
        data.dataset, data.root, split=split, variant=data.variant, list_file=data.list_file
    )
    if not dataset.ids:
        raise InputError(
            f"dataset '{data.dataset}': no image of the split '{split}' is there"
            f"{dataset.first_missing}"
        )
    return dataset


def split_ids(dataset: Dataset, data: DataChoice) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ids of the images to train on, and of the held-out ones, which are the last."""
    ids = dataset.ids[: data.limit]
    count = len(ids) - data.held_out
    if count < 1:
        raise OptionError(
            f"dataset '{data.dataset}': of {len(ids)} images {data.held_out} are held out, so "
            "none is left to train on"
        )
    return ids[:count], ids[count:]


def _evenly_spread(lines: np.ndarray, count: int) -> np.ndarray:
    """Choose ``count`` of the rows or columns, as resizing by the nearest pixel does."""
    return lines[((np.arange(count) + 0.5) * len(lines) / count).astype(int)]
