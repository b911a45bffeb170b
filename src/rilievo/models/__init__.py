"""Loading of models, and the table of those that are known. Reading the table imports no model."""

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from rilievo.errors import OptionError, suggest
from rilievo.models.contracts import FoundModel, ModelRequest
from rilievo.models.finding.cards import DEFAULT_MODEL, FAST_MODEL, MODELS
from rilievo.models.finding.finders import find, find_card
from rilievo.models.finding.loaders import find_loader
from rilievo.models.functions.given_functions import DepthFunction, name_of
from rilievo.plugins import trust, trusted
from rilievo.types import DepthKind, Setting

if TYPE_CHECKING:
    from rilievo.models.base import Model


__all__ = ["DEFAULT_MODEL", "FAST_MODEL", "MODELS", "find_card", "load_model", "read_kind"]

_Key = tuple[object, ...]


def load_model(
    name: str | Path | DepthFunction = DEFAULT_MODEL,
    *,
    kind: str | None = None,
    device: str = "auto",
    engine: str = "auto",
    precision: str = "fp32",
    threads: int | None = None,
    settings: Mapping[str, Setting] | None = None,
    trust_code: Iterable[str] = (),
) -> "Model":
    """Load a model, ready to predict.

    Args:
        name: A name in ``MODELS``; the path of an ONNX file with our metadata; a repository of the
            Hugging Face hub, ``org/name``, or ``diffusers:org/name`` for a pipeline; the path of a
            folder that transformers or diffusers saved, of a run of ``rilievo train``, or of a
            checkpoint of Monodepth2; ``replicate:owner/name``; or a function of your
            own (``rilievo.model``), or its place ``package.module:NAME`` (docs/extending.md). A
            name in ``MODELS`` or a repository may be
            followed by ``@`` and a branch, tag or commit.
        kind: Kind of depth of an unknown checkpoint: metric, up_to_scale, affine or affine_inverse.
        device: Device to run on: auto, cpu, cuda, cuda:N, coreml or directml.
        engine: Engine to run with: onnxruntime, openvino (extra 'fast') or torch. ONNX files do not
            run on torch; models of transformers run on all three, converted once and cached for the
            first two. auto is torch on a GPU and for models without an ONNX file, else onnxruntime.
        precision: Precision of the arithmetic: fp32; or bf16 (openvino, torch), fp16 (torch on
            cuda) and int8 (published models and those of transformers, with onnxruntime), which
            are faster and less exact.
        threads: Threads of one inference; None takes one per core.
        settings: Settings of this model by name, such as steps and seed of Marigold; ``rilievo
            models NAME`` lists them.
        trust_code: Code that a file of the model may name and that is then run,
            ``package.module:NAME`` or ``path/to/file.py:NAME`` exactly as the file states it, such
            as the backbone of a run. It stays trusted in this process and those that it starts.

    Raises:
        ModelError: If there is no such model, its files are broken or cannot be downloaded, or its
            kind is neither known nor given.
        MissingExtraError: If it needs a package that is not installed.
        OptionError: If the device, engine, precision, kind or a setting is not available, or a file
            names code that ``trust_code`` does not.
    """
    from rilievo.models.load_options import LoadOptions

    trust(trust_code)
    asked = name
    name = name if isinstance(name, str | Path) else name_of(name)
    options = LoadOptions(
        device=device,
        engine=engine,
        precision=precision,
        threads=threads,
        settings=dict(settings or {}),
    )
    given = None if kind is None else read_kind(kind)
    found = find(ModelRequest(name=name, kind=given, options=options))
    _check(found, name, given, settings or {})
    options = replace(options, revision=found.revision)
    if found.load is not None:
        model = found.load(options)
    else:
        assert found.card is not None, "what has no card says how it is loaded"
        model = find_loader(found.card)(found.card, options)
    # Stored as an absolute path, so that a process in another folder finds the same file. A string
    # that is a name of the table is not a path, whatever files exist here.
    is_path = os.path.exists(name) and (isinstance(name, Path) or name not in MODELS.own)
    place = Path(name).absolute() if is_path else asked
    model.again = partial(
        load_model,
        place,
        kind=kind,
        device=device,
        engine=engine,
        precision=precision,
        threads=threads,
        settings=None if settings is None else dict(settings),
        trust_code=trusted(),
    )
    return model


def _check(
    found: FoundModel, name: str | Path, given: DepthKind | None, settings: Mapping[str, Setting]
) -> None:
    """Refuse a kind or settings that do not fit the model."""
    card = found.card
    if given is not None and (card is None or card.kind is not given):
        stated = "the file states its kind itself" if card is None else f"its kind is {card.kind}"
        raise OptionError(f"model '{name}': {stated}, and {given} was given")
    if settings and (card is None or card.settings is None):
        raise OptionError(f"model '{name}' has no settings, got {', '.join(settings)}")


def read_kind(kind: str) -> DepthKind:
    """Parse the name of a kind of depth."""
    if kind not in list(DepthKind):
        raise OptionError(f"no kind '{kind}'; {suggest(kind, DepthKind)}")
    return DepthKind(kind)


class _Last:
    """The most recently used model, kept so that a loop does not load it again."""

    def __init__(self) -> None:
        # Held during look-up and loading, so that threads that ask at once load it once.
        self.lock = Lock()
        self.key: _Key | None = None
        # With a lock for models that only one thread may use at a time.
        self.model: tuple[Model, Lock] | None = None


_last = _Last()


@contextmanager
def last_model(
    name: str | Path, *, device: str = "auto", engine: str = "auto", precision: str = "fp32"
) -> Iterator["Model"]:
    """Yield the model of this name: the kept one if it is the same, otherwise newly loaded.

    A file or folder that has changed since counts as another model.
    """
    key = (*_key(name), device, engine, precision)
    with _last.lock:
        if _last.model is None or _last.key != key:
            _last.key, _last.model = None, None  # the memory of two is not held at once
            _last.model = (
                load_model(name, device=device, engine=engine, precision=precision),
                Lock(),
            )
            _last.key = key
        model, in_turn = _last.model
    with nullcontext() if model.concurrent else in_turn:
        yield model


def unload_model() -> None:
    """Release the model that ``rilievo.predict`` keeps for the next call, and its memory.

    A call in another thread that is using it finishes first. Without a kept model nothing happens.
    """
    with _last.lock:
        _last.key, _last.model = None, None


def _key(name: str | Path) -> _Key:
    """Identity of a model: its name, or its files with their sizes and times."""
    if not os.path.exists(name):
        return (type(name), name)
    path = os.path.abspath(name)
    files = [path] if not os.path.isdir(path) else [each.path for each in os.scandir(path)]
    stamps = ((each, os.stat(each)) for each in sorted(files))
    return (path, *((each, found.st_mtime_ns, found.st_size) for each, found in stamps))
