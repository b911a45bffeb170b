"""Distillation: your own photographs with another model's predictions for them, as shards.

A teacher's predictions are training frames like rendered ones, so that networks train on both
alike (G. Hinton et al., "Distilling the Knowledge in a Neural Network", 2015, with the teacher's
depth as the target). To mix rendered shards and a teacher's, put their folders together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from lab.making.distil.frames.shards import KINDS
from lab.making.distil.teachers import write_teacher
from rilievo.arrays.shapes import Bool, Float16, Float64, Int8, UInt8
from rilievo.errors import InputError, ModelError, OutputError
from rilievo.geometry.cameras.camera import CameraSource
from rilievo.geometry.normals import normals_from_depth
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.io.files.names import printable
from rilievo.io.photographs.photo import read_photo
from rilievo.io.photographs.signatures import PHOTO_SUFFIXES
from rilievo.models import load_model
from rilievo.models.base import Model
from rilievo.models.refinement.mirror_average import FlipAveraged
from rilievo.prediction import Prediction
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo
from rilievo.training.engine.progress import Progress

_FRAMES_A_SHARD = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Lesson:
    """One photograph with a teacher's prediction, as in a shard."""

    image: UInt8[np.ndarray, "h w 3"]
    log_depth: Float16[np.ndarray, "h w"]
    normals: Int8[np.ndarray, "3 h w"]
    focal: float
    kind: DepthKind


def taught(
    model: Model, photos: Sequence[Path], size: tuple[int, int]
) -> Iterator[Lesson | InputError]:
    """Yield a model's prediction for each photograph; an error for one that cannot be read.

    Where the teacher's depth has an unknown shift, its slopes are meaningless, so only normals that
    it predicts itself are used. Photographs are cropped to the aspect of ``size``, in the middle.

    Raises ``ModelError`` if shards have no such kind of depth as the model's.
    """
    if model.card.kind not in KINDS:
        raise ModelError(
            f"model '{model.card.name}' cannot teach: its depth is {model.card.kind}, and a "
            f"teacher's is {', '.join(KINDS)}"
        )
    for path in photos:
        try:
            photo = _framed(read_photo(path, own_depth=False), size)
        except InputError as error:
            yield error
            continue
        yield _lesson(model.predict_raw([photo])[0])


def write_lessons(
    model: Model, photos: Sequence[Path], folder: Path, size: tuple[int, int]
) -> tuple[int, list[InputError]]:
    """Write shards of a model's predictions for photographs.

    Returns the number of photographs used, and the errors of the others.
    """
    make_folder(folder)
    if any(folder.glob("shard-*.npz")):
        raise OutputError(f"{printable(folder)}: holds shards already; choose another folder")
    write_teacher(model, folder)
    waiting: list[Lesson] = []
    failures: list[InputError] = []
    taken = shards = 0
    with Progress(
        steps=len(photos), first_step=0, images_per_step=1, shown=True, activity="teaching"
    ) as progress:
        for lesson in taught(model, photos, size):
            progress.step()
            if isinstance(lesson, InputError):
                failures.append(lesson)
                continue
            waiting.append(lesson)
            taken += 1
            if len(waiting) == _FRAMES_A_SHARD:
                _write(waiting, folder / f"shard-{shards:05d}.npz")
                waiting, shards = [], shards + 1
    if waiting:
        _write(waiting, folder / f"shard-{shards:05d}.npz")
    if not taken:
        raise InputError(f"no photograph to learn from among {len(photos)} files")
    return taken, failures


def _framed(photo: Photo, size: tuple[int, int]) -> Photo:
    """Crop the middle of a photograph and resize it to the size of the frames."""
    height, width = photo.shape
    aspect = size[1] / size[0]
    tall = min(height, round(width / aspect))
    wide = min(width, round(tall * aspect))
    top, left = (height - tall) // 2, (width - wide) // 2
    inner = Image.fromarray(photo.pixels[top : top + tall, left : left + wide])
    camera = photo.camera
    if camera is not None:
        camera = camera.cropped(top=top, left=left).resized(size=(tall, wide), new_size=size)
    small = inner.resize((size[1], size[0]), Image.Resampling.BOX)
    return Photo(pixels=np.asarray(small), camera=camera, name=photo.name)


def _lesson(prediction: Prediction) -> Lesson:
    depth, photo, camera = prediction.depth, prediction.photo, prediction.camera
    assert photo is not None
    assert camera is not None
    z = np.where(depth.valid, depth.values, 1).astype(np.float64)
    normals, known = prediction.normals, depth.valid
    is_known_camera = camera.source is not CameraSource.ASSUMED
    if normals is None and depth.is_depth:
        normals, known = normals_from_depth(z, camera, depth.valid, window=5)
        known &= is_known_camera
    elif normals is None:
        normals, known = np.zeros((3, *z.shape)), np.zeros_like(known)
    target = np.log(z) if depth.is_depth else _normalised(z, depth.valid)
    return Lesson(
        image=photo.pixels,
        log_depth=np.where(depth.valid, target, np.inf).astype(np.float16),
        normals=(np.round(127 * normals) * known).astype(np.int8),
        focal=camera.focal if is_known_camera else float("nan"),
        kind=depth.kind,
    )


def _normalised(
    values: Float64[np.ndarray, "h w"], valid: Bool[np.ndarray, "h w"]
) -> Float64[np.ndarray, "h w"]:
    """Subtract the median and divide by the mean absolute deviation, to fit half precision."""
    if not valid.any():
        return values
    off = values - np.median(values[valid])
    deviation = np.abs(off[valid]).mean()
    limit = float(np.finfo(np.float16).max)
    return np.clip(off / deviation if deviation > 0 else off, -limit, limit)


def _write(lessons: Sequence[Lesson], path: Path) -> None:
    with replacing(path) as part, part.open("wb") as file:
        np.savez(
            file,
            image=np.stack([each.image for each in lessons]),
            log_depth=np.stack([each.log_depth for each in lessons]),
            normals=np.stack([each.normals for each in lessons]),
            focal=np.array([each.focal for each in lessons], np.float32),
            kind=np.array([KINDS.index(each.kind) for each in lessons], np.uint8),
        )


def teach(
    model: str,
    photos: Path,
    output: Path,
    *,
    size: tuple[int, int] = (192, 256),
    flip: bool = False,
    trust_code: tuple[str, ...] = (),
) -> tuple[int, list[InputError]]:
    """Write a model's predictions for the photographs of a folder as shards to train on.

    Args:
        model: Name or path that ``load_model`` takes.
        photos: Folder of photographs; those in its subfolders are used too.
        output: Folder to write the shards to; it holds none yet.
        size: Height and width of a frame [px].
        flip: Average with the prediction for the mirror image.
        trust_code: Code that the model's files may name and that is then run.

    Returns:
        The number of photographs used, and the errors of the others.
    """
    found = sorted(path for path in photos.rglob("*") if path.suffix.lower() in PHOTO_SUFFIXES)
    if not found:
        raise InputError(f"{printable(photos)}: no folder with photographs")
    loaded = load_model(model, trust_code=trust_code)
    return write_lessons(FlipAveraged(loaded) if flip else loaded, found, output, size)
