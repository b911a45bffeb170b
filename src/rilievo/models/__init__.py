"""The models and how to load one. The table is data: reading it imports no model."""

import difflib
import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from rilievo.errors import ModelError, OptionError, suggest
from rilievo.models import diffusion_cards, embedded_cards, monodepth2, replicate_cards
from rilievo.models.card import ModelCard
from rilievo.models.catalogue.table import ENTRIES
from rilievo.models.checkpoints import KINDS, checkpoint_card, listed_cards, unlisted_card
from rilievo.models.probe_run import is_run, run_card
from rilievo.models.video_run import is_video_run, video_run_card
from rilievo.networks.video.folder import is_official
from rilievo.types import DepthKind, Setting

if TYPE_CHECKING:
    from rilievo.models.base import Model
    from rilievo.models.engines import LoadOptions

DEFAULT_MODEL = embedded_cards.SMALL

# A new model is one file beside this one and one entry here.
_CARDS = (
    *embedded_cards.listed_cards(),
    *(entry.card for entry in ENTRIES.values()),
    *listed_cards(),
    *diffusion_cards.listed_cards(),
    *replicate_cards.listed_cards(),
)
MODELS: Mapping[str, ModelCard] = {card.name: card for card in _CARDS}


def find_card(name: str) -> ModelCard:
    """The card of a model by its name, or by its repository of the hub.

    Raises:
        ModelError: If there is no such model; the message offers the nearest names.
    """
    if name in KINDS:
        return checkpoint_card(name)
    if name in diffusion_cards.REPOSITORIES:
        return diffusion_cards.repository_card(name)
    if name == monodepth2.NAME:
        return monodepth2.family_card()
    if name not in MODELS:
        raise _unknown(name)
    return MODELS[name]


def _unknown(name: str) -> ModelError:
    """An error of three lines of a terminal at most, though there are many models."""
    asked = name.partition("@")[0].lower()
    names = [*MODELS, *KINDS]
    near = difflib.get_close_matches(asked, names, n=2, cutoff=0.45)
    # As people abbreviate: da3, dav2.
    letters = re.sub(r"[^a-z]", "", asked)
    near = near or [each for each in names if _initials(each).startswith(letters or "?")][:2]
    nearest = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return ModelError(
        f"no model '{name}'; {nearest}'rilievo models' lists all; any other of the hub is "
        "ORG/NAME with its --kind"
    )


def _initials(name: str) -> str:
    return "".join(word[0] for word in re.split(r"[-/]", name) if word)


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
    """Make a model ready to predict.

    Args:
        name: A name in ``MODELS``; the path of an ONNX file that says what it is; a repository of
            the Hugging Face hub, ``org/name``, or ``diffusers:org/name`` for a pipeline; the path
            of a folder as transformers or diffusers saves one, of a run that ``rilievo train``
            wrote, or of a checkpoint of Monodepth2; or ``replicate:owner/name``.
            A name in ``MODELS`` or a repository may be followed by ``@`` and a branch, tag or
            commit.
        kind: What the numbers of a checkpoint are that nobody here knows: metric, up_to_scale,
            affine or affine_inverse.
        device: Where it runs: auto, cpu, cuda or cuda:N.
        engine: What runs it: onnxruntime, openvino (extra 'fast') or torch. ONNX files are not run
            by torch; models of transformers are by all three, converted once and kept for the
            first two. auto is the usual one: onnxruntime, or torch on a GPU and for what has no
            ONNX file.
        precision: Arithmetic: fp32; bf16 (openvino, torch), fp16 (torch on cuda) or int8 (models
            of transformers with onnxruntime), which are faster and less exact.
        threads: Threads of one inference; None for one a core.
        settings: What is set of this model, by name, such as steps and seed of Marigold's;
            ``rilievo models NAME`` lists them.

    Raises:
        ModelError: If there is no such model, its files are broken or cannot be fetched, or its
            kind is neither known nor given.
        MissingExtraError: If it needs a package that is not installed.
        OptionError: If the device, engine, precision, kind or a setting is not to be had.
    """
    from rilievo.models.engines import LoadOptions

    card, revision = _asked(name, kind, settings or {})
    options = LoadOptions(
        device=device,
        engine=engine,
        precision=precision,
        threads=threads,
        revision=revision,
        settings=dict(settings or {}),
    )
    if card is None:
        from rilievo.models.onnx import OnnxModel

        model = OnnxModel(Path(name), options)
    else:
        model = _loader(card)(card, options)
    # A path means the same file in a process that works in another folder.
    place = Path(name).absolute() if os.path.exists(name) else name
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


def _loader(card: ModelCard) -> "Callable[[ModelCard, LoadOptions], Model]":
    module, _, function = card.loader.partition(":")
    return getattr(import_module(module), function)


def _asked(
    name: str | Path, kind: str | None, settings: Mapping[str, Setting]
) -> tuple[ModelCard | None, str | None]:
    """The card, None of an ONNX file, and the revision; kind and settings fit it."""
    given = None if kind is None else read_kind(kind)
    card, revision = (None, None) if _is_onnx(name) else _resolved(name, given)
    if given is not None and (card is None or card.kind is not given):
        stated = "the file states its kind itself" if card is None else f"its kind is {card.kind}"
        raise OptionError(f"model '{name}': {stated}, and {given} was given")
    if settings and (card is None or card.settings is None):
        raise OptionError(f"model '{name}' has nothing to set, got {', '.join(settings)}")
    return card, revision


def _is_onnx(name: str | Path) -> bool:
    return str(name).endswith(".onnx") or (isinstance(name, Path) and not os.path.isdir(name))


def read_kind(kind: str) -> DepthKind:
    """A kind of depth from its name.

    Raises:
        OptionError: If there is no such kind.
    """
    if kind not in list(DepthKind):
        raise OptionError(f"no kind '{kind}'; {suggest(kind, DepthKind)}")
    return DepthKind(kind)


def _resolved(name: str | Path, kind: DepthKind | None) -> tuple[ModelCard, str | None]:
    """The card of anything but an ONNX file, and the revision that was asked for.

    Raises:
        ModelError: If there is no such model, or its kind is neither known nor given.
    """
    from rilievo.models.hub import is_repository

    text = str(name)
    for find in (diffusion_cards.find_pipeline, replicate_cards.find_version):
        if text not in MODELS and (found := find(text, kind)) is not None:
            return found
    # Unlike Path.is_dir, this takes for no folder what the system refuses, such as a long name.
    if text not in MODELS and os.path.isdir(name):
        return _folder_card(Path(name).resolve(), kind), None
    if text == monodepth2.NAME:
        return monodepth2.family_card(), None
    known, _, revision = text.partition("@")
    card = MODELS.get(known) or (checkpoint_card(known) if known in KINDS else None)
    if card is None:
        if kind is None or not is_repository(known):
            raise _unknown(text)
        card = unlisted_card(known, kind, local=False)
    if revision and card.source is None:
        raise ModelError(f"model '{known}' ships inside the package, so it has no '@{revision}'")
    return card, revision or None


def _folder_card(folder: Path, kind: DepthKind | None) -> ModelCard:
    if is_official(folder):
        return monodepth2.folder_card(folder)
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder}: a folder without config.json is no checkpoint")
    if is_run(folder):
        return run_card(folder)
    if is_video_run(folder):
        return video_run_card(folder)
    if kind is None:
        raise ModelError(
            f"{folder}: say what its depth is with --kind (kind=): {', '.join(DepthKind)}"
        )
    return unlisted_card(str(folder), kind, local=True)
