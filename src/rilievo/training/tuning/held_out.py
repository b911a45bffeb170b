"""Division of a dataset into images to learn from and images that are held out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rilievo.data.datasets.dataset import Dataset
from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text, count_text
from rilievo.training.probe.probe_config import DataChoice

_HELD_OUT_EVERY = 5
"""One image in so many is held out by default."""
_GAP_EVERY = 20
"""One image in so many is left out between the two parts of a scene, whose frames look alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DividedImages:
    """Ids of the images to learn from and of the held-out ones; ``gap`` images are in neither."""

    training: tuple[str, ...]
    held_out: tuple[str, ...]
    gap: int


def divide_images(dataset: Dataset, data: DataChoice) -> DividedImages:
    """Divide the images of a dataset into those to learn from and those to hold out.

    By default the last scenes are held out, about a fifth of the images. If there is one scene, or
    ``data.held_out`` states a number, then the last images are held out, and some images before
    them are left out as a gap.
    """
    ids = dataset.ids[: data.limit]
    if data.held_out:
        num_held_out = data.held_out
    else:
        num_held_out = max(1, round(len(ids) / _HELD_OUT_EVERY))
        scenes = [dataset.scene(image_id) for image_id in ids]
        held_out_scenes = _last_scenes(scenes, num_held_out)
        if held_out_scenes:
            return _divide_by_scene(ids, scenes, held_out_scenes)

    gap = max(1, len(ids) // _GAP_EVERY)
    training = ids[: max(len(ids) - num_held_out - gap, 0)]
    if not training:
        raise OptionError(
            f"dataset '{data.dataset}': of {count_text(len(ids), 'image')}, the last "
            f"{num_held_out} are to be held out, and {gap} next to them left out, so none is left "
            "to train on",
            hint=Text("use a smaller ", OptionName("held_out")),
        )
    return DividedImages(training=training, held_out=ids[-num_held_out:], gap=gap)


def _last_scenes(scenes: Sequence[str | None], min_images: int) -> frozenset[str | None]:
    """Choose the last scenes that together have ``min_images``, but never the first scene.

    ``scenes`` has the scene of each image. No scene is chosen if that would be more than half of
    all images.
    """
    scenes_from_last = list(dict.fromkeys(reversed(scenes)))
    scenes_but_first = scenes_from_last[:-1]
    images_per_scene = Counter(scenes)
    chosen: set[str | None] = set()
    num_images = 0
    for scene in scenes_but_first:
        chosen.add(scene)
        num_images += images_per_scene[scene]
        if num_images >= min_images:
            break
    is_too_much = num_images > len(scenes) / 2
    return frozenset() if is_too_much else frozenset(chosen)


def _divide_by_scene(
    ids: Sequence[str], scenes: Sequence[str | None], held_out_scenes: frozenset[str | None]
) -> DividedImages:
    training = []
    held_out = []
    for image_id, scene in zip(ids, scenes, strict=True):
        if scene in held_out_scenes:
            held_out.append(image_id)
        else:
            training.append(image_id)
    return DividedImages(training=tuple(training), held_out=tuple(held_out), gap=0)
