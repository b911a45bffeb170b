"""Defaults of a run that follow from the machine and from the footage; needs no torch."""

import importlib.util
from pathlib import Path

from rilievo.errors import InputError
from rilievo.models.embedded_cards import SMALL, TINY
from rilievo.models.video_run import is_video_run, read_video_run
from rilievo.train.video.config import VideoData
from rilievo.train.video.sources import list_sequences

EMBEDDED_STARTS = (SMALL, TINY)
"""Embedded models whose weights a run can start from."""
EMBEDDED_ENCODERS = tuple(name.partition("/")[2] for name in EMBEDDED_STARTS)
"""Encoders of these models."""

_AREA = 64512
"""Pixels of a frame that the embedded default is used at."""
_MULTIPLE, _LEAST = 32, 64


def embedded_encoder(start: str) -> str | None:
    """Encoder of an embedded model, or of a run that refined one; None for any other start.

    Raises:
        ModelError: If it is the folder of a broken run.
    """
    if start in EMBEDDED_STARTS:
        return start.partition("/")[2]
    if not is_video_run(Path(start)):
        return None
    encoder = read_video_run(Path(start)).blueprint.encoder
    return encoder if encoder in EMBEDDED_ENCODERS else None


def has_gpu(device: str) -> bool:
    """Whether a device that a run may use is a GPU; False where torch is not installed."""
    if device == "cpu" or importlib.util.find_spec("torch") is None:
        return False
    if device != "auto":
        return True
    import torch

    return torch.cuda.is_available()


def size_of_footage(data: VideoData) -> tuple[int, int]:
    """Size (height, width) of about ``_AREA`` pixels in the shape of the first sequence's frames.

    Footage that cannot be used is refused when it is opened; here it counts as 4:3.
    """
    try:
        height, width = list_sequences(data)[0].shape
    except InputError:
        height, width = 3, 4
    longer = (_AREA * width / height) ** 0.5
    return _side(_AREA / longer), _side(longer)


def _side(pixels: float) -> int:
    return max(_LEAST, _MULTIPLE * round(pixels / _MULTIPLE))
