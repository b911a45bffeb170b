"""Speed of each model on this machine, measured at its first use."""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any, Protocol, TypeVar, runtime_checkable

from rilievo.errors import ModelError, OutputError
from rilievo.frozen import frozen
from rilievo.io.files.atomic import make_folder, replacing
from rilievo.models.card import ModelCard
from rilievo.models.network_files import cache_directory
from rilievo.types import Photo, Setting
from rilievo.version import PROCESSING

Answer = TypeVar("Answer", covariant=True)

_FILE = f"speeds-{PROCESSING}.json"

_CALLS = 3  # the first call is slower than later ones
_counted: dict[str, int] = {}
"""Number of calls that were timed so far, by the model's name."""


@frozen
class Speed:
    """Time for one photograph."""

    seconds: float
    calls: int
    pixels: str
    device: str
    engine: str
    precision: str


def speeds() -> Mapping[str, Speed]:
    """Recorded speeds of this machine, by the model's name."""
    try:
        entries = json.loads((cache_directory() / _FILE).read_text(encoding="utf-8"))
        found = {str(name): Speed(**entry) for name, entry in entries.items()}
        return {name: each for name, each in found.items() if math.isfinite(each.seconds)}
    except (OSError, ValueError, TypeError, AttributeError, ModelError):
        return {}


@runtime_checkable
class TimedModel(Protocol[Answer]):
    """Parts of a model (``rilievo.models.base.Model``) that timing needs."""

    card: ModelCard
    settings: Mapping[str, Setting]
    again: Callable[[], Any] | None

    def infer(self, photos: Sequence[Photo]) -> list[Answer]:
        """Run the network."""
        ...


def infer_timed(model: TimedModel[Answer], photos: Sequence[Photo]) -> list[Answer]:
    """``model.infer``, timed if the model's speed is not recorded yet."""
    name = model.card.name
    # Refinements such as tiles run the network several times; such models cannot be loaded by name.
    if model.again is None or not photos or _counted.get(name, 0) >= _CALLS:
        return model.infer(photos)
    if name not in _counted:
        known = speeds().get(name)
        _counted[name] = 0 if known is None else known.calls
        return infer_timed(model, photos)
    start = time.perf_counter()
    answers = model.infer(photos)
    _counted[name] += 1
    _keep(model, photos, (time.perf_counter() - start) / len(photos))
    return answers


def _keep(model: TimedModel[Any], photos: Sequence[Photo], seconds: float) -> None:
    """Record a speed if it is the least; skipped without a writable cache folder."""
    name, known = model.card.name, dict(speeds())
    before = known.get(name)
    if before is not None and before.seconds <= seconds:
        known[name] = replace(before, calls=_counted[name])
    else:
        height, width = photos[0].shape
        known[name] = Speed(
            seconds=round(seconds, 4),
            calls=_counted[name],
            pixels=f"{width}x{height}",
            **{key: str(model.settings.get(key, "")) for key in ("device", "engine", "precision")},
        )
    with suppress(OSError, OutputError, ModelError):
        place = cache_directory() / _FILE
        make_folder(place.parent)
        with replacing(place) as part:
            text = json.dumps({key: asdict(each) for key, each in known.items()}, indent=1)
            part.write_text(text + "\n", encoding="utf-8")
