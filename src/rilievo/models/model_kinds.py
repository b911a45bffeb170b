"""Kinds of models: how a name is recognised as one, and what loads it. Plain data."""

from collections.abc import Mapping

from rilievo.frozen import frozen


@frozen
class ModelKind:
    """A kind of model; the places are imported on use.

    Attributes:
        words: Names of such models, as the guide writes them; "" where another row has them.
        find: Place of a function from a ``ModelRequest`` to a ``FoundModel``, or to None for names
            of another kind; "" for models that are found by the table of names.
        cards: Place of a function that lists the cards of those with a name in ``MODELS``.
        loader: Place of a function from a card and ``LoadOptions`` to the model; "" where
            ``FoundModel.load`` loads it, or a loader of a wing that the card names.
        extra: Extra of rilievo that they need.
    """

    words: str
    find: str = ""
    cards: str = ""
    loader: str = ""
    extra: str = ""


MODEL_KINDS: Mapping[str, ModelKind] = {
    "embedded": ModelKind(
        words="`rilievo/base` or `rilievo/small`, the models that come with rilievo",
        find="rilievo.models.default.embedded_cards:find_embedded",
        loader="rilievo.models.default.embedded:load",
    ),
    "given-function": ModelKind(
        words="a function, given in Python",
        find="rilievo.models.functions.depth_function:find_given",
    ),
    "published-file": ModelKind(
        words="the path of a published ONNX file, whatever it is called",
        find="rilievo.models.catalogue.opening:find",
    ),
    "onnx-file": ModelKind(
        words="the path of another ONNX file",
        find="rilievo.models.onnx_files.named_files:find",
    ),
    "catalogue": ModelKind(
        words="a name that `rilievo models --all` lists",
        find="rilievo.models.finding:find_listed",
        cards="rilievo.models.catalogue.table:listed_cards",
        loader="rilievo.models.catalogue.opening:load",
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
        find="rilievo.models.replicate.replicate_cards:find",
        cards="rilievo.models.replicate.replicate_cards:listed_cards",
        loader="rilievo.models.replicate.replicate_model:load",
    ),
    "trained": ModelKind(
        words="a folder of `rilievo train`, a checkpoint of Monodepth2, or what an installed "
        "package recognises (`rilievo.finders`)",
        find="rilievo.models.finding:find_in_wings",
        extra="train",
    ),
    "onnx-folder": ModelKind(
        words="a folder with one ONNX file",
        find="rilievo.models.onnx_files.named_files:find_in_folder",
    ),
    "checkpoint-folder": ModelKind(
        words="a folder that transformers saved, with `--kind`",
        find="rilievo.models.hub.checkpoints:find_folder",
        extra="models",
    ),
    "revision": ModelKind(
        words="a name of the list followed by `@REVISION`, or its repository",
        find="rilievo.models.finding:find_revised",
        extra="models",
    ),
    "place": ModelKind(
        words="`package.module:NAME` or `path/to/file.py:NAME`, a function of yours",
        find="rilievo.models.outside:find_place",
    ),
    "installed": ModelKind(
        words="a name that an installed package offers (`rilievo.models`)",
        find="rilievo.models.outside:find_installed",
    ),
    "repository": ModelKind(
        words="`ORG/NAME` of the Hugging Face hub, with `--kind`",
        find="rilievo.models.hub.hub_files:find_repository",
        extra="models",
    ),
    "short-name": ModelKind(
        words="`base` or `small`",
        find="rilievo.models.default.embedded_cards:find_short",
    ),
}
"""Kinds in the order in which a name is asked for; the first that recognises it is taken.

A new kind is a file with its functions and a row here. Keys are names of loaders in cards, too.
"""
