"""The models that rilievo trained itself, whose files are inside the package."""

from pathlib import Path

from rilievo.models.card import ModelCard
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.onnx_model import OnnxModel


def load(card: ModelCard, options: LoadOptions) -> OnnxModel:
    """Load a network that ships inside the package (``ModelCard.loader``)."""
    return OnnxModel(embedded_file(card.name), options, card)


def embedded_file(name: str) -> Path:
    """File of a network that ships inside the package, such as that of ``rilievo/small``."""
    return Path(__file__).parent / f"{name.partition('/')[2]}.onnx"
