"""Loading of models, and the table of those that are known. Reading the table imports no model."""

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rilievo.errors import OptionError, suggest
from rilievo.models.finders import DEFAULT_MODEL, MODELS, Asked, Found, find, find_card, loader
from rilievo.types import DepthKind, Setting

if TYPE_CHECKING:
    from rilievo.models.base import Model

__all__ = ["DEFAULT_MODEL", "MODELS", "find_card", "load_model", "read_kind"]


def load_model(
    name: str | Path = DEFAULT_MODEL,
    *,
    kind: str | None = None,
    device: str = "auto",
    engine: str = "auto",
    precision: str = "fp32",
    threads: int | None = None,
    settings: Mapping[str, Setting] | None = None,
) -> "Model":
    """Load a model, ready to predict.

    Args:
        name: A name in ``MODELS``; the path of an ONNX file with our metadata; a repository of the
            Hugging Face hub, ``org/name``, or ``diffusers:org/name`` for a pipeline; the path of a
            folder that transformers or diffusers saved, of a run of ``rilievo train``, or of a
            checkpoint of Monodepth2; ``replicate:owner/name``; or ``package.module:load``, a
            function of your own (docs/extending.md). A name in ``MODELS`` or a repository may be
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

    Raises:
        ModelError: If there is no such model, its files are broken or cannot be downloaded, or its
            kind is neither known nor given.
        MissingExtraError: If it needs a package that is not installed.
        OptionError: If the device, engine, precision, kind or a setting is not available.
    """
    from rilievo.models.engines import LoadOptions

    options = LoadOptions(
        device=device,
        engine=engine,
        precision=precision,
        threads=threads,
        settings=dict(settings or {}),
    )
    given = None if kind is None else read_kind(kind)
    found = find(Asked(name=name, kind=given, options=options))
    _check(found, name, given, settings or {})
    options = replace(options, revision=found.revision)
    if found.load is not None:
        model = found.load(options)
    else:
        assert found.card is not None, "what has no card says how it is loaded"
        model = loader(found.card)(found.card, options)
    # Stored as an absolute path, so that a process in another folder finds the same file. A string
    # that is a name of the table is not a path, whatever files exist here.
    is_path = os.path.exists(name) and (isinstance(name, Path) or name not in MODELS.own)
    place = Path(name).absolute() if is_path else name
    model.again = partial(
        load_model,
        place,
        kind=kind,
        device=device,
        engine=engine,
        precision=precision,
        threads=threads,
        settings=None if settings is None else dict(settings),
    )
    return model


def _check(
    found: Found, name: str | Path, given: DepthKind | None, settings: Mapping[str, Setting]
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
