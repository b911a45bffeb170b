"""Division of a dataset into images to learn from and images that judge."""

from collections.abc import Sequence

from rilievo.data.datasets.base import Dataset
from rilievo.errors import OptionError
from rilievo.frozen import frozen
from rilievo.training.probe.probe_config import DataChoice

SHARE = 5
"""One image in so many is kept out."""
_GAP = 20
"""One image in so many, and one at least, is left out between the two parts of a scene."""


@frozen
class DividedImages:
    """Images to learn from, and images kept out that judge.

    Attributes:
        gap: Number of images left out between the two.
    """

    training: tuple[str, ...]
    held_out: tuple[str, ...]
    gap: int


def divided(dataset: Dataset, data: DataChoice) -> DividedImages:
    """Divide the images of a dataset.

    Whole scenes are kept out, the last ones, until they are a fifth of the images. Of a single
    scene, where those would be over half of the images, or where ``held_out`` states a number, the
    last images are kept out as a block, and some before them are left out: neighbours in time are
    nearly one image.

    Raises:
        OptionError: If none is left to learn from.
    """
    ids = dataset.ids[: data.limit]
    scenes = [dataset.scene(id) for id in ids]
    count = data.held_out or max(1, round(len(ids) / SHARE))
    last = _last_scenes(scenes, count) if not data.held_out else frozenset()
    if last:
        training = tuple(id for id, scene in zip(ids, scenes, strict=True) if scene not in last)
        held_out = tuple(id for id, scene in zip(ids, scenes, strict=True) if scene in last)
        gap = 0
    else:
        gap = max(1, len(ids) // _GAP)
        training, held_out = ids[: max(len(ids) - count - gap, 0)], ids[-count:]
    if not training:
        raise OptionError(
            f"dataset '{data.dataset}': of {len(ids)} images {count} are kept out and {gap} beside "
            "them are left out, so none is left to learn from"
        )
    return DividedImages(training=training, held_out=held_out, gap=gap)


def _last_scenes(scenes: Sequence[str | None], count: int) -> frozenset[str | None]:
    """Choose the last scenes with so many images together; none if those are over half of all."""
    order = [*dict.fromkeys(reversed(scenes))]
    chosen: set[str | None] = set()
    for scene in order[:-1]:
        chosen.add(scene)
        if sum(scene in chosen for scene in scenes) >= count:
            break
    most = len(scenes) / 2
    return frozenset(chosen if sum(scene in chosen for scene in scenes) <= most else ())
