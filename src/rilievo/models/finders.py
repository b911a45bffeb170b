"""Models by the name or path that the user gives: one ordered table of finders, one of cards.

The tables of other models than the embedded ones are imported when they are needed.
"""

import difflib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import cache
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from rilievo.errors import ModelError, OptionError, needing
from rilievo.io.limits import as_typed
from rilievo.models.card import BASE, SMALL, ModelCard, embedded_cards
from rilievo.outside import OpenTable, is_place, load_outside
from rilievo.types import DepthKind

if TYPE_CHECKING:
    from rilievo.models.base import Model
    from rilievo.models.engines import LoadOptions

DEFAULT_MODEL = BASE
"""Model of photographs, unless another is named."""

FAST_MODEL = SMALL
"""Model of videos and streams, unless another is named."""

_EMBEDDED = {card.name: card for card in embedded_cards()}


@cache
def _cards() -> Mapping[str, ModelCard]:
    from rilievo.models import checkpoints, diffusion_cards, replicate_cards
    from rilievo.models.catalogue.table import ENTRIES

    # A new model is one file beside this one and one entry here.
    cards = (
        *_EMBEDDED.values(),
        *(entry.card for entry in ENTRIES.values()),
        *checkpoints.listed_cards(),
        *diffusion_cards.REPOSITORIES.values(),
        *replicate_cards.listed_cards(),
    )
    return {card.name: card for card in cards}


class _Cards(Mapping[str, ModelCard]):
    """Cards by name; looking up an embedded model imports no other table."""

    def __getitem__(self, name: str) -> ModelCard:
        return _EMBEDDED[name] if name in _EMBEDDED else _cards()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_cards())

    def __len__(self) -> int:
        return len(_cards())


def _outside(found: object, name: str) -> ModelCard:
    card = getattr(found, "card", None)
    if not isinstance(card, ModelCard):
        raise OptionError(
            f"model '{name}' has no card: "
            "give its function one with @rilievo.models.outside.outside_model(card)"
        )
    return replace(card, name=name)


MODELS: OpenTable[ModelCard] = OpenTable(_Cards(), "model", _outside)


def find_card(name: str) -> ModelCard:
    """Find the card of a model by its name, its repository on the hub, or its ``module:load``.

    Raises:
        ModelError: If there is no such model; the message has the nearest names.
    """
    if name in _EMBEDDED:
        return _EMBEDDED[name]
    from rilievo.models.checkpoints import KINDS
    from rilievo.models.diffusion_cards import REPOSITORIES
    from rilievo.models.runs import MONODEPTH2, family_card

    if name in KINDS or name in REPOSITORIES:
        return KINDS.get(name) or REPOSITORIES[name]
    if name == MONODEPTH2:
        return family_card()
    if name not in MODELS and not is_place(name):
        raise unknown(name)
    return MODELS.find(name)


def unknown(name: str) -> ModelError:
    """Error for an unknown name: similar names, how to list all, and how to add one."""
    from rilievo.models.checkpoints import KINDS

    asked = name.partition("@")[0].lower()
    names = [*MODELS, *KINDS]
    # Common abbreviations: da3, dav2.
    short = re.sub(r"[^a-z0-9]", "", asked)
    near = [each for each in names if _initials(each).startswith(short or "?")][:2]
    near = near or difflib.get_close_matches(asked, names, n=2, cutoff=0.45)
    near = near[: 1 if len(name) > 24 else 2]  # in three lines of a terminal, whatever the name
    nearest = f"did you mean {' or '.join(map(repr, near))}? " if near else ""
    return ModelError(
        f"no model '{name}'; {nearest}'rilievo models --all' lists all; to add one: "
        "ORG/NAME --kind KIND (hub), package.module:load (docs/extending.md)"
    )


def _initials(name: str) -> str:
    """First letters of the words of a name, with numbers whole: dav2s, da3b, m2l."""
    words = re.split(r"[-/]", name)
    return "".join(word if word[-1:].isdigit() else word[:1] for word in words)


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request for a model."""

    name: str | Path
    kind: DepthKind | None
    options: "LoadOptions"

    @property
    def text(self) -> str:
        """The name as a string."""
        return str(self.name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A model that was found."""

    card: ModelCard | None
    """Card of the model; None if the file contains the facts itself."""
    revision: str | None = None
    load: "Callable[[LoadOptions], Model] | None" = None
    """Function that loads it; None takes the loader that its card names."""


def find(asked: Asked) -> Found:
    """Find the model for a request with the first finder that recognises it."""
    for finder in FINDERS:
        found = finder(asked)
        if found is not None:
            return found
    raise unknown(asked.text)


def loader(card: ModelCard) -> "Callable[[ModelCard, LoadOptions], Model]":
    """Import the loader that a card names."""
    module, _, function = card.loader.partition(":")
    ours = module.startswith("rilievo.")
    with needing(f"model '{card.name}'", card.extra or "train") if ours else nullcontext():
        return getattr(import_module(module), function)


def _onnx_file(asked: Asked) -> Found | None:
    name = asked.name
    is_file = asked.text.endswith(".onnx") or (isinstance(name, Path) and not os.path.isdir(name))
    if not is_file:
        return None
    return _opened(Path(name))


def _opened(path: Path) -> Found:
    from rilievo.models.onnx import open_file

    return Found(card=None, load=lambda options: open_file(path, options))


def _listed(asked: Asked) -> Found | None:
    return _of_table(asked) if asked.text in MODELS.own else None


def _revised(asked: Asked) -> Found | None:
    """A name of the table with a revision, or a repository of the table."""
    from rilievo.models.checkpoints import KINDS

    known = asked.text.partition("@")[0]
    return _of_table(asked) if known in MODELS.own or known in KINDS else None


def _of_table(asked: Asked) -> Found:
    known, _, revision = asked.text.partition("@")
    if known in _EMBEDDED and not revision:
        return Found(card=_EMBEDDED[known])
    from rilievo.models.catalogue.table import ENTRIES
    from rilievo.models.checkpoints import KINDS

    card = MODELS.own.get(known) or KINDS[known]
    entry = ENTRIES.get(known)
    if entry is not None and entry.twin is not None and _needs_twin(asked.options, revision):
        card = KINDS[entry.twin]
    if revision and card.source is None:
        raise ModelError(f"model '{known}' ships inside the package, so it has no '@{revision}'")
    return Found(card=card, revision=revision or None)


def _needs_twin(options: "LoadOptions", revision: str) -> bool:
    """Whether the request needs transformers, because the published ONNX file cannot do it."""
    if revision or options.engine == "torch" or options.precision == "fp16":
        return True
    from rilievo.models.engines import has_cuda

    return options.device.startswith("cuda") and not has_cuda()


def _elsewhere(asked: Asked) -> Found | None:
    """A pipeline of diffusers, a model at replicate.com, or Monodepth2's family."""
    from rilievo.models import diffusion_cards, replicate_cards
    from rilievo.models.runs import MONODEPTH2, family_card

    found = diffusion_cards.find_pipeline(asked.text, asked.kind)
    if found is not None:
        return Found(card=found[0], revision=found[1])
    card = replicate_cards.find_version(asked.text, asked.kind)
    # A folder of this name, such as a clone of its repository, comes first.
    if asked.text == MONODEPTH2 and not os.path.isdir(asked.name):
        card = family_card()
    return None if card is None else Found(card=card)


def _folder(asked: Asked) -> Found | None:
    # Unlike Path.is_dir, this takes names that the system refuses, such as long ones, as missing.
    if not os.path.isdir(asked.name):
        return None
    from rilievo.networks.blueprint import is_official

    folder = Path(asked.name)
    is_other = is_official(folder) or (folder / "config.json").exists()
    exported = () if is_other else tuple(folder.glob("*.onnx"))
    if len(exported) == 1:  # as of a recipe
        return _opened(exported[0])
    return Found(card=_folder_card(folder.resolve(), asked.kind))


def _folder_card(folder: Path, kind: DepthKind | None) -> ModelCard:
    from rilievo.models import checkpoints, runs
    from rilievo.networks.blueprint import is_official

    if is_official(folder):
        return runs.folder_card(folder)
    if not (folder / "config.json").is_file():
        raise ModelError(f"{as_typed(folder)}: not a checkpoint: the folder has no config.json")
    if runs.is_run(folder):
        return runs.run_card(folder)
    if runs.is_video_run(folder):
        return runs.video_run_card(folder)
    if kind is None:
        raise ModelError(
            f"{as_typed(folder)}: give the kind of its depth with --kind (kind=): "
            f"{', '.join(DepthKind)}"
        )
    return checkpoints.unlisted_card(str(folder), kind, local=True)


def _python(asked: Asked) -> Found | None:
    """``package.module:load``, a function or class of the user's own."""
    if not is_place(asked.text):
        return None
    from rilievo.models.outside import found_outside

    return found_outside(load_outside(asked.text, "model"), asked.text)


def _installed(asked: Asked) -> Found | None:
    """A model that an installed package offers under this name."""
    if os.path.exists(asked.name):
        return None
    from rilievo.models.outside import found_outside
    from rilievo.outside import load_offered

    offered = load_offered(asked.text, "model")
    return None if offered is None else found_outside(offered, asked.text)


def _repository(asked: Asked) -> Found | None:
    from rilievo.models.checkpoints import unlisted_card
    from rilievo.models.hub import is_repository

    known, _, revision = asked.text.partition("@")
    if asked.kind is None or not is_repository(known):
        return None
    return Found(card=unlisted_card(known, asked.kind, local=False), revision=revision or None)


# A new way to name a model is one function above and one line here; the first match is taken.
FINDERS: Sequence[Callable[[Asked], Found | None]] = (
    _onnx_file,
    _listed,
    _elsewhere,
    _folder,
    _revised,
    _python,
    _installed,
    _repository,
)
