"""The models and how to load one. The table is data: reading it imports no model."""

from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from rilievo.errors import ModelError, suggest
from rilievo.models.card import ModelCard
from rilievo.types import DepthKind

if TYPE_CHECKING:
    from rilievo.models.base import Model

DEFAULT_MODEL = "rilievo/small"

# A new model is one file beside this one and one entry here.
_CARDS = (
    ModelCard(
        name=DEFAULT_MODEL,
        summary="embedded default: MobileNetV2 encoder, light decoder; works offline at once",
        kind=DepthKind.UP_TO_SCALE,
        normals=True,
        licence="Apache-2.0",
        commercial=True,
        megabytes=9.2,
        extra=None,
        speed="fast: a few milliseconds",
        loader="rilievo.models.onnx:load",
    ),
)
MODELS: Mapping[str, ModelCard] = {card.name: card for card in _CARDS}


def find_card(name: str) -> ModelCard:
    """The card of a model by its name.

    Raises:
        ModelError: If there is no such model; the message offers the nearest names.
    """
    if name not in MODELS:
        raise ModelError(f"no model '{name}'; {suggest(name, MODELS)}")
    return MODELS[name]


def load_model(
    name: str | Path = DEFAULT_MODEL,
    *,
    device: str = "auto",
    engine: str = "auto",
    precision: str = "fp32",
    threads: int | None = None,
) -> "Model":
    """Make a model ready to predict.

    Args:
        name: A name in ``MODELS``, or the path of an ONNX file that says what it is.
        device: Where it runs: auto, cpu, cuda or cuda:N.
        engine: What runs it: onnxruntime or openvino (extra 'fast') for ONNX files, torch for
            networks in torch; auto is the usual one of the model.
        precision: Arithmetic: fp32; bf16 (openvino, torch) or fp16 (torch on cuda), which are
            faster and less exact.
        threads: Threads of one inference; None for one a core.

    Raises:
        ModelError: If there is no such model, or its file is broken.
        MissingExtraError: If it needs a package that is not installed.
        OptionError: If the device, engine or precision is not to be had.
    """
    from rilievo.models.engines import LoadOptions

    options = LoadOptions(device=device, engine=engine, precision=precision, threads=threads)
    if isinstance(name, Path) or name.endswith(".onnx"):
        from rilievo.models.onnx import OnnxModel

        return OnnxModel(Path(name), options)
    card = find_card(name)
    module, _, function = card.loader.partition(":")
    return getattr(import_module(module), function)(card, options)
