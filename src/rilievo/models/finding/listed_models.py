"""Models that are found by their name or repository in the tables of cards."""

from rilievo.errors import ModelError
from rilievo.models.catalogue import table
from rilievo.models.contracts import FoundModel, ModelRequest
from rilievo.models.finding.cards import MODELS
from rilievo.models.hub.checkpoints import KINDS
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.onnxruntime_engine import has_cuda


def find(request: ModelRequest) -> FoundModel | None:
    """Find a model by its name in the table."""
    return _find(request) if request.text in MODELS.own else None


def find_revised(request: ModelRequest) -> FoundModel | None:
    """Find a model by its name with a revision, or by its repository."""
    known = request.text.partition("@")[0]
    return _find(request) if known in MODELS.own or known in KINDS else None


def _find(request: ModelRequest) -> FoundModel:
    known, _, revision = request.text.partition("@")
    card = MODELS.own.get(known) or KINDS[known]
    entry = table.ENTRIES.get(known)
    if entry is not None and entry.twin is not None and _needs_twin(request.options, revision):
        card = KINDS[entry.twin]
    if revision and card.source is None:
        raise ModelError(f"model '{known}' ships inside the package, so it has no '@{revision}'")
    return FoundModel(card=card, revision=revision or None)


def _needs_twin(options: LoadOptions, revision: str) -> bool:
    """Whether the request needs transformers, because the published ONNX file cannot do it."""
    if revision or options.engine == "torch" or options.precision == "fp16":
        return True
    return options.device.startswith("cuda") and not has_cuda()
