"""Division of a dataset into images to learn from and images that are held out."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from rilievo.data.datasets import Dataset
from rilievo.errors import OptionError
from rilievo.training.probe.probe_config import DataChoice

_HELD_OUT_EVERY = 5
"""One image in so many is held out by default."""
_GAP_EVERY = 20
"""One image in so many is left out between the two parts of a scene, whose frames look alike."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DividedImages:
    """Names of the images to learn from and of the held-out ones, and how many neither part has."""

    training: tuple[str, ...]
    held_out: tuple[str, ...]
    gap: int


def divide_images(dataset: Dataset, data: DataChoice) -> DividedImages:
    """Divide the images of a dataset into those to learn from and those to hold out.

    By default the last scenes are held out, about a fifth of the images. If there is one scene, or
    ``data.held_out`` states a number, then the last images are held out, and some images before
    them are left out as a gap.

    Raises:
        OptionError: If no image is left to learn from.
    """
    ids = dataset.ids[: data.limit]
    count = data.held_out or max(1, round(len(ids) / _HELD_OUT_EVERY))
    if not data.held_out:
        scenes = [dataset.scene(id) for id in ids]
        held_out_scenes = _last_scenes(scenes, count)
        if held_out_scenes:
            return _divide_by_scene(ids, scenes, held_out_scenes)

    gap = max(1, len(ids) // _GAP_EVERY)
    training = ids[: max(len(ids) - count - gap, 0)]
    if not training:
        raise OptionError(
            f"dataset '{data.dataset}': of {len(ids)} images {count} are kept out and {gap} beside "
            "them are left out, so none is left to learn from"
        )
    return DividedImages(training=training, held_out=ids[-count:], gap=gap)


def _last_scenes(scenes: Sequence[str | None], count: int) -> frozenset[str | None]:
    """Choose the last scenes that have ``count`` images together, but never the first scene.

    No scene is chosen if they would have more than half of all images.
    """
    last_first = list(dict.fromkeys(reversed(scenes)))
    images_per_scene = Counter(scenes)
    chosen: set[str | None] = set()
    image_count = 0
    for scene in last_first[:-1]:
        chosen.add(scene)
        image_count += images_per_scene[scene]
        if image_count >= count:
            break
    return frozenset(chosen) if image_count <= len(scenes) / 2 else frozenset()


def _divide_by_scene(
    ids: Sequence[str], scenes: Sequence[str | None], held_out_scenes: frozenset[str | None]
) -> DividedImages:
    scene_of_image = dict(zip(ids, scenes, strict=True))
    return DividedImages(
        training=tuple(id for id in ids if scene_of_image[id] not in held_out_scenes),
        held_out=tuple(id for id in ids if scene_of_image[id] in held_out_scenes),
        gap=0,
    )
