"""Models inside the package, and their cards."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions
from rilievo.models.requests import FoundModel, ModelRequest
from rilievo.records.depth_map import DepthKind

if TYPE_CHECKING:
    from rilievo.models.onnx_files.onnx_model import OnnxModel

# Two on a core each save a tenth of processor time.
_CALLERS = 2

_shared_threads: ContextVar[int | None] = ContextVar("shared_threads", default=None)


@contextmanager
def shared_cores(cores: int) -> Iterator[None]:
    """Load networks in the block for two callers, half the cores each."""
    token = _shared_threads.set(cores // _CALLERS or None)
    try:
        yield
    finally:
        _shared_threads.reset(token)


def load(card: ModelCard, options: LoadOptions) -> "OnnxModel":
    """Load a network of the package."""
    from rilievo.models.onnx_files.onnx_model import OnnxModel

    threads, path = _shared_threads.get(), embedded_file(card.name)
    if threads is None or options.threads is not None or not _may_share_cores(options):
        return OnnxModel(path, options, card)
    model = OnnxModel(path, replace(options, threads=threads), card)
    if model.settings["device"] == "cpu":
        model.callers = _CALLERS
    return model


def _may_share_cores(options: LoadOptions) -> bool:
    return options.engine in ("auto", "onnxruntime") and options.device in ("auto", "cpu")


def embedded_file(name: str) -> Path:
    """Path of a network of the package, such as ``rilievo/small``."""
    return Path(__file__).parent / f"{name.partition('/')[2]}.onnx"


BASE, SMALL = "rilievo/base", "rilievo/small"


def embedded_cards() -> tuple[ModelCard, ...]:
    """Cards, the default first."""
    return (
        _embedded_card(
            name=BASE,
            summary="embedded default for photographs: layout and detail in one graph",
            area=196_608,
            megabytes=13.5,
            speed="84 ms",
            sky=True,
        ),
        _embedded_card(
            name=SMALL,
            summary="embedded default for videos: MobileNetV2 encoder; five times as fast as base",
            area=64_512,
            megabytes=3.1,
            speed="14 ms",
        ),
    )


def _embedded_card(**facts: Any) -> ModelCard:
    return ModelCard(
        kind=DepthKind.UP_TO_SCALE,
        normals=True,
        confidence=True,
        licence="Apache-2.0",
        commercial=True,
        loader="embedded",
        **facts,
    )


EMBEDDED: Mapping[str, ModelCard] = {card.name: card for card in embedded_cards()}


def find_embedded(request: ModelRequest) -> FoundModel | None:
    """Find an embedded model by its name."""
    is_name = isinstance(request.name, str) and request.name in EMBEDDED
    return FoundModel(card=EMBEDDED[request.text]) if is_name else None


def find_short(request: ModelRequest) -> FoundModel | None:
    """Find an embedded model by its last word, "small", unless a file is called so."""
    card = None if os.path.exists(request.name) else EMBEDDED.get(f"rilievo/{request.name}")
    return None if card is None else FoundModel(card=card)


def read_long_card(card: ModelCard) -> str | None:
    """Long card of an embedded model, else None."""
    family, _, variant = card.name.partition("/")
    if family != "rilievo":
        return None
    path = Path(__file__).parent / f"{variant}.md"
    return path.read_text(encoding="utf-8") if path.is_file() else None
