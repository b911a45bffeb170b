"""Rendered scenes as a dataset: nothing on disk, exact ground truth, reproducible frames."""

from functools import lru_cache
from importlib.util import find_spec
from types import MappingProxyType

import numpy as np
from jaxtyping import UInt8

from rilievo.data.datasets.base import Dataset, Request, checked_ids, own_card
from rilievo.data.datasets.files import text_lines
from rilievo.errors import InputError, OptionError
from rilievo.io.files.limits import printable
from rilievo.types import Sample, Truth

SIZE = (240, 320)
DIGITS = 10
FIRST_SEED = 2**63
"""Frame n has the seed ``FIRST_SEED + n``; shards and clips of plans whose seed is below 2³¹ do not
share these seeds."""
FIRST_OF_SPLIT = MappingProxyType({"test": 1, "valid": 1_000_000_001, "train": 2_000_000_001})
"""Number of the first frame of each split; the default frames of splits never overlap."""


class Rendered(Dataset):
    """Randomly generated scenes, rendered on access.

    Photograph and truth of a frame come from a single rendering if they are read one after the
    other.
    """

    card = own_card("synthetic")

    def __init__(self, request: Request) -> None:
        """Choose the frames; none is rendered yet."""
        _check_renderer()
        self.request = request
        if request.list_file is not None:
            self.ids = _listed(request)
            return
        first, count = FIRST_OF_SPLIT[request.split], self.card.counts[request.split]
        self.ids = tuple(f"{number:0{DIGITS}d}" for number in range(first, first + count))

    def image(self, id: str) -> UInt8[np.ndarray, "h w 3"]:
        """The photograph, RGB."""
        return _frame(id, self.request.variant).image.copy()

    def truth(self, id: str) -> Truth:
        """Exact depth, normals, sky, camera and pose."""
        frame = _frame(id, self.request.variant)
        return Truth(
            id=id,
            depth=_copied(frame.depth),
            depth_valid=_copied(frame.depth_valid),
            normals=_copied(frame.normals),
            normals_valid=_copied(frame.normals_valid),
            sky=_copied(frame.sky),
            camera=frame.camera,
            world_T_cam=_copied(frame.world_T_cam),
        )


def _check_renderer() -> None:
    """Refuse an installation without the renderer.

    Another module may have its general name.
    """
    try:
        found = find_spec("scenes.renderer")
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise OptionError(
            "dataset 'synthetic' needs the renderer, the folder scenes/ of rilievo's repository, "
            "which its wheel leaves out: clone the repository and run "
            "pip install --editable '.[train]' in it"
        )


def _listed(request: Request) -> tuple[str, ...]:
    """Ids of the user's own list."""
    path = request.list_file
    assert path is not None, "asked for only with a list"
    ids = []
    for line in text_lines(path):
        if not (line.text.isascii() and line.text.isdigit() and len(line.text) == DIGITS):
            raise InputError(
                f"{path}: line {line.number} is '{line.text}', but a frame is a number of {DIGITS} "
                "digits, such as 0000000001"
            )
        ids.append(line.text)
    return checked_ids(ids, printable(path))


@lru_cache(maxsize=1)
def _frame(id: str, variant: str) -> Sample:
    """Render a frame; the last one is cached, since image and truth are read separately."""
    from scenes import Kind, render

    return render(FIRST_SEED + int(id), size=SIZE, kind=Kind(variant))


def _copied(array: np.ndarray | None) -> np.ndarray:
    """Copy a map, so that the caller may modify it."""
    assert array is not None, "a rendered frame has all of its truth"
    return array.copy()
