"""Find the model that a user names, and load it.

A user may name a model in many ways. ``MODEL_KINDS`` lists them in the order in which they are
tried. The modules of all but the embedded models are imported on use.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Unpack

from rilievo.errors import ModelError, OptionError, explain_missing_extra
from rilievo.errors.messages import OptionName, Text
from rilievo.extensions import subpackages
from rilievo.extensions.foreign_code import entry_point_names, load_named
from rilievo.extensions.registry import Registry
from rilievo.extensions.subpackages import resolve_name
from rilievo.extensions.trust import is_import_path, trust, trusted_places
from rilievo.models.card import ModelCard
from rilievo.models.default.embedded import BASE, EMBEDDED, SMALL, find_short
from rilievo.models.load_options import LoadOptions
from rilievo.models.requests import DepthFunction, FoundModel, ModelRequest, register_function
from rilievo.options.keywords import LoadKeywords
from rilievo.records.depth_map import DepthKind
from rilievo.schema.fields import check_keywords, option_names, with_options

if TYPE_CHECKING:
    from rilievo.models.base import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelKind:
    """One way to name a model. Functions are stated as ``module:function``, or "" for none.

    Attributes:
        words: Description of the names, for the guide.
        find: Function from a ``ModelRequest`` to a ``FoundModel``, or to None if the name is not of
            this kind.
        cards: Function that lists the model cards.
        loader: Function from a model card and ``LoadOptions`` to the model.
        extra: Extra of the package that such models need.
    """

    words: str
    find: str = ""
    cards: str = ""
    loader: str = ""
    extra: str = ""


MODEL_KINDS: Mapping[str, ModelKind] = {
    "embedded": ModelKind(
        words="`rilievo/base` or `rilievo/small`, the models that come with rilievo",
        find="rilievo.models.default.embedded:find_embedded",
        loader="rilievo.models.default.embedded:load",
    ),
    "given-function": ModelKind(
        words="a function that you pass in Python",
        find="rilievo.models.function_model:find_registered_function",
    ),
    "published-file": ModelKind(
        words="the path of a published ONNX file, under any file name",
        find="rilievo.models.catalogue.loading:find_published_file",
    ),
    "onnx-file": ModelKind(
        words="the path of another ONNX file",
        find="rilievo.models.onnx_files.find_file:find_file",
    ),
    "catalogue": ModelKind(
        words="a name that `rilievo models --all` lists",
        find="rilievo.models.finding:find_listed",
        cards="rilievo.models.catalogue.table:listed_cards",
        loader="rilievo.models.catalogue.loading:load",
    ),
    "checkpoint": ModelKind(words="", cards="rilievo.models.hub.checkpoints:listed_cards"),
    "pipeline": ModelKind(
        words="a folder that diffusers saved, or `diffusers:ORG/NAME`",
        find="rilievo.models.hub.diffusion_cards:find",
        cards="rilievo.models.hub.diffusion_cards:listed_cards",
        extra="models",
    ),
    "replicate": ModelKind(
        words="`replicate:OWNER/NAME`",
        find="rilievo.models.replicate_cards:find",
        cards="rilievo.models.replicate_cards:listed_cards",
        loader="rilievo.models.replicate_model:load",
    ),
    "trained": ModelKind(
        words="a folder that `rilievo train` wrote, a checkpoint of Monodepth2, or anything that "
        "an installed package recognises (entry point `rilievo.finders`)",
        find="rilievo.models.finding:find_by_finders",
        extra="train",
    ),
    "onnx-folder": ModelKind(
        words="a folder with one ONNX file",
        find="rilievo.models.onnx_files.find_file:find_in_folder",
    ),
    "checkpoint-folder": ModelKind(
        words="a folder that transformers saved, with `--kind`",
        find="rilievo.models.hub.checkpoints:find_checkpoint_folder",
        extra="models",
    ),
    "revision": ModelKind(
        words="a listed name followed by `@REVISION`, or the repository of a listed model",
        find="rilievo.models.finding:find_revised",
        extra="models",
    ),
    "place": ModelKind(
        words="your own function, as `package.module:NAME` or `path/to/file.py:NAME`",
        find="rilievo.models.outside:find_import_path",
    ),
    "installed": ModelKind(
        words="a name that an installed package offers (entry point `rilievo.models`)",
        find="rilievo.models.outside:find_installed",
    ),
    "repository": ModelKind(
        words="`ORG/NAME` from the Hugging Face hub, with `--kind`",
        find="rilievo.models.hub.hub_files:find_repository",
        extra="models",
    ),
    "short-name": ModelKind(
        words="`base` or `small`",
        find="rilievo.models.default.embedded:find_short",
    ),
}
"""Kinds in the order in which they are tried. Model cards name their loader by these keys."""

DEFAULT_MODEL = BASE
FAST_MODEL = SMALL
"""Default for videos."""


@cache
def _cards_by_name() -> Mapping[str, ModelCard]:
    """All model cards that rilievo lists; imports the tables of all kinds."""
    cards = dict(EMBEDDED)
    for kind in MODEL_KINDS.values():
        if kind.cards:
            cards |= {card.name: card for card in resolve_name(kind.cards)()}
    return cards


class _ListedCards(Mapping[str, ModelCard]):
    """Model cards by name. To look up an embedded model, no other table is imported."""

    def __getitem__(self, name: str) -> ModelCard:
        return EMBEDDED[name] if name in EMBEDDED else _cards_by_name()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(_cards_by_name())

    def __len__(self) -> int:
        return len(_cards_by_name())


def _function_card(function: object, name: str) -> ModelCard:
    """Card that ``rilievo.model`` attached to a function."""
    card = getattr(function, "card", None)
    if not isinstance(card, ModelCard):
        raise OptionError(
            f"model '{name}' has no card: add one to its function with @rilievo.model(kind=...)"
        )
    return replace(card, name=name)


MODELS: Registry[ModelCard] = Registry(_ListedCards(), "model", _function_card)
"""Models by name.

Examples:
    >>> rilievo.MODELS["rilievo/small"].kind
    <DepthKind.UP_TO_SCALE: 'up_to_scale'>
"""


def find_model(request: ModelRequest) -> FoundModel:
    """Find the model that a user names.

    Raises:
        ModelError: If there is no such model.
    """
    for kind in MODEL_KINDS.values():
        found = resolve_name(kind.find)(request) if kind.find else None
        if found is not None:
            return found
    raise _unknown_model_error(request.text)


def find_card(name: str) -> ModelCard:
    """Find the card of a model by its name, its hub repository, or ``module:load``.

    Raises:
        ModelError: If there is no such model.
    """
    if name in EMBEDDED:
        return EMBEDDED[name]
    from rilievo.models.hub.diffusion_cards import REPOSITORIES

    repositories = {**REPOSITORIES, **_cards_by_repository()}
    if name in repositories:
        return repositories[name]
    if name in MODELS or is_import_path(name):
        return MODELS.find(name)
    request = ModelRequest(name=name, options=LoadOptions())
    found: FoundModel | None = None
    if not os.path.isdir(name):  # a folder is opened only when its model is loaded
        found = find_by_finders(request)
    if found is None:
        found = find_short(request)
    if found is None or found.card is None:
        raise _unknown_model_error(name)
    return found.card


def _cards_by_repository() -> Mapping[str, ModelCard]:
    from rilievo.models.hub.checkpoints import CHECKPOINTS

    return CHECKPOINTS


def is_listed_name(name: str) -> bool:
    """Whether rilievo lists a model of this name or hub repository, so that its kind is certain."""
    return name in MODELS.own or name in _cards_by_repository()


def is_paid_name(name: str) -> bool:
    """Whether a model of this name runs at replicate.com, which charges for each photograph."""
    from rilievo.models.replicate_cards import PREFIX

    return name.startswith(PREFIX)


def is_single_network(name: str) -> bool:
    """Whether a model is one network on this computer, as far as its name says.

    A pipeline of diffusers consists of several networks, and a paid model runs elsewhere. Nothing
    is loaded or downloaded.
    """
    from rilievo.models.hub.diffusion_cards import LOADER, find_pipeline

    card = MODELS.get(name)
    is_pipeline = (card is not None and card.loader == LOADER) or find_pipeline(name, None)
    return not is_pipeline and not is_paid_name(name)


_WEIGHTS_SUFFIXES = (".pth", ".pt", ".ckpt", ".safetensors")
_LONG_NAME = 24
"""Number of characters above which a message suggests only one model, to fit on a terminal."""


def _unknown_model_error(name: str) -> ModelError:
    """Error for a name that no kind of model recognises, with suggestions."""
    if name.endswith("/"):
        return ModelError(
            f"there is no folder or model '{name}'",
            hint="'rilievo models --all' lists all models",
        )
    if name.endswith(_WEIGHTS_SUFFIXES):
        return ModelError(
            f"model '{name}': a file with weights does not contain the network itself",
            hint="give the folder in which the model was saved, an ONNX file, or "
            "package.module:load (docs/extending.md)",
        )
    similar = _similar_names(name)[: 1 if len(name) > _LONG_NAME else 2]
    question = f"did you mean {' or '.join(map(repr, similar))}? " if similar else ""
    return ModelError(
        f"no model '{name}'; {question}'rilievo models --all' lists all",
        hint=Text(
            "or give ORG/NAME from the hub with ",
            OptionName("kind", "KIND"),
            ", or package.module:load (docs/extending.md)",
        ),
    )


def _similar_names(name: str) -> list[str]:
    """Names of models that the user may have meant, the embedded ones first.

    A name may be abbreviated, such as dav2s, or misspelled.
    """
    from difflib import get_close_matches  # imported here, because only errors need it

    query = name.partition("@")[0].lower()
    model_names = [*MODELS, *_cards_by_repository()]
    similar = _names_with_abbreviation(query, model_names)[:2]
    if not similar:
        similar = get_close_matches(query, model_names, n=2, cutoff=0.45)

    # Users may leave the folder out, as in "bse" for "rilievo/base".
    embedded_by_short_name = {full_name.partition("/")[2]: full_name for full_name in EMBEDDED}
    similar_embedded = [
        embedded_by_short_name[short_name]
        for short_name in get_close_matches(query, embedded_by_short_name, n=1)
    ]
    unique = dict.fromkeys((*similar_embedded, *similar))
    return sorted(unique, key=lambda candidate: candidate not in EMBEDDED)


def _names_with_abbreviation(query: str, model_names: Sequence[str]) -> list[str]:
    """Names whose abbreviation begins with the query: "dav2/small" is compared as "dav2s"."""
    family, _, variant = query.partition("/")
    abbreviation = re.sub(r"[^a-z0-9]", "", family + variant[:1])
    if not abbreviation:
        return []
    return [each for each in model_names if _abbreviate(each).startswith(abbreviation)]


def _abbreviate(name: str) -> str:
    """Abbreviate a name as people do: dav2s, da3b, m2l."""
    words = re.split(r"[-/]", name)
    return "".join(word if word[-1:].isdigit() else word[:1] for word in words)


def find_by_finders(request: ModelRequest) -> FoundModel | None:
    """Find a model by the finders of rilievo's subpackages and of installed packages."""
    for name in dict.fromkeys((*subpackages.FINDERS, *entry_point_names("finder"))):
        finder = load_named(subpackages.FINDERS, name, kind="finder")
        found = None if finder is None else finder(request)
        if found is not None:
            return found
    return None


def find_listed(request: ModelRequest) -> FoundModel | None:
    """Find a model that rilievo lists."""
    return _find_with_revision(request) if request.text in MODELS.own else None


def find_revised(request: ModelRequest) -> FoundModel | None:
    """Find a model that rilievo lists, or its repository, perhaps with ``@REVISION``."""
    name = request.text.partition("@")[0]
    return _find_with_revision(request) if is_listed_name(name) else None


def _find_with_revision(request: ModelRequest) -> FoundModel:
    """Find a listed model by ``NAME@REVISION``.

    Some models are listed both as an ONNX file and as a checkpoint for torch, its twin. If the ONNX
    file cannot do what the options ask, the twin is found.
    """
    from rilievo.models.catalogue.table import ENTRIES

    name, _, revision = request.text.partition("@")
    card = MODELS.own.get(name) or _cards_by_repository()[name]
    entry = ENTRIES.get(name)
    torch_twin = None if entry is None else entry.twin
    if torch_twin is not None and _needs_torch(request.options, revision):
        card = _cards_by_repository()[torch_twin]
    if revision and card.source is None:
        raise ModelError(
            f"model '{name}' ships inside the package, so it has no revision '@{revision}'"
        )
    return FoundModel(card=card, revision=revision or None)


def _needs_torch(options: LoadOptions, revision: str) -> bool:
    """Whether these options need torch, because an ONNX file of the model cannot fulfil them."""
    if revision or options.engine == "torch" or options.precision == "fp16":
        return True
    if not options.device.startswith("cuda"):
        return False
    from rilievo.models.onnx_files.engines import has_cuda

    return not has_cuda()


def find_loader(card: ModelCard) -> "Callable[[ModelCard, LoadOptions], Model]":
    """Import the function that loads a model with this card.

    Raises:
        MissingExtraError: If a package is missing.
    """
    subject = f"model '{card.name}'"
    with explain_missing_extra(subject, card.extra or "train"):
        kind = MODEL_KINDS.get(card.loader)
        import_path = card.loader if kind is None else kind.loader
        if is_import_path(import_path):
            return resolve_name(import_path)
        loader = load_named(subpackages.LOADERS, card.loader, kind="loader")
    if loader is None:
        raise ModelError(f"{subject} has an unknown loader: '{card.loader}'")
    return loader


@with_options(LoadOptions)
def load_model(
    name: str | Path | DepthFunction = DEFAULT_MODEL, **options: Unpack[LoadKeywords]
) -> "Model":
    """Load a model, ready to predict.

    Examples:
        >>> rilievo.load_model("rilievo/small")
        Model(rilievo/small, depth up_to_scale, ...)

    Args:
        name: A name in ``MODELS``; an ONNX file; a hub repository ``org/name`` or
            ``diffusers:org/name``; a folder of transformers, diffusers, ``rilievo train`` or
            Monodepth2; ``replicate:owner/name``; your function (``rilievo.model``), or its place
            ``package.module:NAME``. ``@REVISION`` may follow.
        options: Any of the following.

    Keyword Args:
        kind: Kind of an unknown checkpoint: metric, up_to_scale, affine or affine_inverse.
        device: auto, cpu, cuda, cuda:N, coreml or directml.
        engine: onnxruntime, openvino (extra 'fast') or torch (not for ONNX files); auto is torch on
            a GPU and where there is no ONNX file.
        precision: fp32; or bf16 (openvino, torch), fp16 (torch on cuda) and int8 (onnxruntime).
        threads: Threads of one inference; None takes one per core.
        settings: Settings by name; ``rilievo models NAME`` lists them.
        trust_code: Code that a file may name and that is then run, ``package.module:NAME`` or
            ``path/to/file.py:NAME`` as the file states it.

    Raises:
        ModelError: If there is no such model, its files are broken, or its kind is unknown.
        MissingExtraError: If a package is not installed.
        OptionError: If an option is not available, or code is not trusted.
    """
    check_keywords("load_model", options, option_names(LoadOptions))
    return load(name, LoadOptions.from_records(**options))


def load(name: str | Path | DepthFunction, options: LoadOptions) -> "Model":
    """Load a model, or a function of the user, with a record of options."""
    if isinstance(name, str | Path):
        return load_by_name(name, options)
    trust(options.trust_code)
    model = load_by_name(register_function(name), options)
    reload_options = replace(options, trust_code=trusted_places())
    model.again = partial(load, name, reload_options)
    return model


def load_by_name(name: str | Path, options: LoadOptions) -> "Model":
    """Load a model by its name or path.

    Raises:
        ModelError: If there is no such model.
        OptionError: If its kind is another one than was stated, or it has no settings.
    """
    trust(options.trust_code)
    found = find_model(ModelRequest(name=name, options=options))
    card = found.card
    _check_kind_and_settings(name, card, options)

    options_with_revision = replace(options, revision=found.revision)
    if found.load is not None:
        model = found.load(options_with_revision)
    else:
        assert card is not None, "a model that was found has a card or a function that loads it"
        model = find_loader(card)(card, options_with_revision)

    # A process in another folder may load the model again, so a path has to be absolute. The name
    # of a listed model stays a name, even if there is a file of that name.
    is_listed = not isinstance(name, Path) and name in MODELS.own
    is_path = os.path.exists(name) and not is_listed
    reload_name = Path(name).absolute() if is_path else name
    reload_options = replace(options, trust_code=trusted_places())
    model.again = partial(load_by_name, reload_name, reload_options)
    return model


def _check_kind_and_settings(
    name: str | Path, card: ModelCard | None, options: LoadOptions
) -> None:
    """Check that the kind and the settings that a user gives fit the model."""
    if options.depth_kind is not None:
        _check_kind(name, card, options.depth_kind)
    if options.settings and (card is None or card.settings is None):
        raise OptionError(
            f"model '{name}' has no settings, but you gave {', '.join(options.settings)}"
        )


def _check_kind(name: str | Path, card: ModelCard | None, kind: DepthKind) -> None:
    """Raise ``OptionError`` if a model has another kind than the user gives, or states it itself.

    ``card`` is None if the model's file states what it predicts.
    """
    if card is None:
        raise OptionError(
            f"model '{name}': the file states its kind of depth itself, so you cannot give {kind}",
            hint=Text("leave out ", OptionName("kind")),
        )
    if card.kind is not kind:
        stated = "it predicts no depth"
        if card.kind is not None:
            stated = f"its kind of depth is {card.kind}"
        raise OptionError(
            f"model '{name}': {stated}, but you gave {kind}",
            hint=Text("leave out ", OptionName("kind")),
        )
