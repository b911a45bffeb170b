"""Models of rilievo inside the package."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path

from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.onnx_model import OnnxModel

# Two on a core each save a tenth of processor time.
_CALLERS = 2

_shared_threads: ContextVar[int | None] = ContextVar("shared_threads", default=None)


@contextmanager
def shared_cores(cores: int) -> Iterator[None]:
    """Let two threads run networks loaded in the block."""
    token = _shared_threads.set(cores // _CALLERS or None)
    try:
        yield
    finally:
        _shared_threads.reset(token)


def load(card: ModelCard, options: LoadOptions) -> OnnxModel:
    """Load a network of the package."""
    threads, path = _shared_threads.get(), embedded_file(card.name)
    if threads is None or options.threads is not None or not _may_share(options):
        return OnnxModel(path, options, card)
    model = OnnxModel(path, replace(options, threads=threads), card)
    if model.settings["device"] == "cpu":
        model.callers = _CALLERS
    return model


def _may_share(options: LoadOptions) -> bool:
    return options.engine in ("auto", "onnxruntime") and options.device in ("auto", "cpu")


def embedded_file(name: str) -> Path:
    """Path of a network of the package, such as ``rilievo/small``."""
    return Path(__file__).parent / f"{name.partition('/')[2]}.onnx"
