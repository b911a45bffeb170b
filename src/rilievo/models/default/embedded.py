"""The models that rilievo trained itself, whose files are inside the package."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import replace
from pathlib import Path

from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.onnx_model import OnnxModel

_CALLERS = 2
"""Threads that run one network at once. Two photographs on a core each take a tenth less processor
time than one after the other on both cores; each caller takes the memory of its run."""

_shared_threads: ContextVar[int | None] = ContextVar("shared_threads", default=None)


@contextmanager
def shared_cores(cores: int) -> Iterator[None]:
    """Let two threads at once run networks that are loaded in the block, for many photographs.

    Each run has half of the cores; a network whose threads the user named is run by one.
    """
    token = _shared_threads.set(cores // _CALLERS or None)
    try:
        yield
    finally:
        _shared_threads.reset(token)


def load(card: ModelCard, options: LoadOptions) -> OnnxModel:
    """Load a network that ships inside the package (``ModelCard.loader``)."""
    threads, path = _shared_threads.get(), embedded_file(card.name)
    if threads is None or options.threads is not None or not _may_share(options):
        return OnnxModel(path, options, card)
    model = OnnxModel(path, replace(options, threads=threads), card)
    if model.settings["device"] == "cpu":
        model.callers = _CALLERS
    return model


def _may_share(options: LoadOptions) -> bool:
    """Whether ONNX Runtime may run it on the processor; OpenVINO takes one run after the other."""
    return options.engine in ("auto", "onnxruntime") and options.device in ("auto", "cpu")


def embedded_file(name: str) -> Path:
    """File of a network that ships inside the package, such as that of ``rilievo/small``."""
    return Path(__file__).parent / f"{name.partition('/')[2]}.onnx"
