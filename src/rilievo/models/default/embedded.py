"""Cards of the models that are part of the package; find and load these models."""

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

BASE, SMALL = "rilievo/base", "rilievo/small"


def embedded_cards() -> tuple[ModelCard, ...]:
    """Cards of the embedded models, the default first."""
    return (
        _embedded_card(
            name=BASE,
            summary="the default model for photographs, which comes with rilievo",
            area=196_608,
            megabytes=14.2,
            speed="82 ms",
            sky=True,
        ),
        _embedded_card(
            name=SMALL,
            summary="the default model for videos, which comes with rilievo; five times as fast as "
            "rilievo/base",
            area=64_512,
            megabytes=3.1,
            speed="15 ms",
        ),
    )


def _embedded_card(**fields: Any) -> ModelCard:
    """Card with these fields and those that all embedded models have in common."""
    return ModelCard(
        kind=DepthKind.UP_TO_SCALE,
        normals=True,
        confidence=True,
        corrected_by_lines=True,
        licence="Apache-2.0",
        commercial=True,
        loader="embedded",
        **fields,
    )


EMBEDDED: Mapping[str, ModelCard] = {card.name: card for card in embedded_cards()}


def embedded_file(name: str) -> Path:
    """Path of the network of an embedded model, such as ``rilievo/small``."""
    return Path(__file__).parent / f"{name.partition('/')[2]}.onnx"


def find_embedded(request: ModelRequest) -> FoundModel | None:
    """Find an embedded model by its full name."""
    is_name = isinstance(request.name, str) and request.name in EMBEDDED
    return FoundModel(card=EMBEDDED[request.text]) if is_name else None


def find_short(request: ModelRequest) -> FoundModel | None:
    """Find an embedded model by its short name, such as "small", unless a file is called so."""
    if os.path.exists(request.name):
        return None
    card = EMBEDDED.get(f"rilievo/{request.name}")
    return None if card is None else FoundModel(card=card)


def read_long_card(card: ModelCard) -> str | None:
    """Read the long card of an embedded model, in Markdown; None for other models."""
    family, _, variant = card.name.partition("/")
    if family != "rilievo":
        return None
    path = Path(__file__).parent / f"{variant}.md"
    return path.read_text(encoding="utf-8") if path.is_file() else None


_PARALLEL_CALLS = 2
"""Two calls on a core each take a tenth less processor time than one call on two cores."""

_threads_per_call: ContextVar[int | None] = ContextVar("threads_per_call", default=None)


@contextmanager
def shared_cores(cores: int) -> Iterator[None]:
    """Load networks in the block for two parallel calls, which get half of the cores each."""
    token = _threads_per_call.set(cores // _PARALLEL_CALLS or None)
    try:
        yield
    finally:
        _threads_per_call.reset(token)


def load(card: ModelCard, options: LoadOptions) -> "OnnxModel":
    """Load an embedded model."""
    from rilievo.models.onnx_files.onnx_model import OnnxModel

    path = embedded_file(card.name)
    shared_threads = _threads_per_call.get()  # None outside of ``shared_cores``
    shares_cores = options.threads is None and _may_run_on_cpu(options)
    if shared_threads is None or not shares_cores:
        return OnnxModel(path, options, card)
    model = OnnxModel(path, replace(options, threads=shared_threads), card)
    if model.settings["device"] == "cpu":
        model.callers = _PARALLEL_CALLS
    return model


def _may_run_on_cpu(options: LoadOptions) -> bool:
    return options.engine in ("auto", "onnxruntime") and options.device in ("auto", "cpu")
