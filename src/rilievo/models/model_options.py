"""Options of a model that several commands share."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from rilievo.errors import ModelError, OptionError, OutputError, suggest
from rilievo.errors.messages import Note, OptionName, Text
from rilievo.io.files.atomic import make_folder
from rilievo.models import DEFAULT_MODEL, FAST_MODEL, MODELS
from rilievo.models.finding import load
from rilievo.models.load_options import LoadOptions, parse_pairs
from rilievo.models.network_files import cache_directory
from rilievo.models.requests import DepthFunction, register_function
from rilievo.options.photo_options import Mirroring
from rilievo.options.run_options import Engine, TrustOptions
from rilievo.schema.fields import FieldsByTitle, Interface, option

if TYPE_CHECKING:
    from rilievo.models.base import Model


QUALITIES = {"fast": FAST_MODEL, "good": "moge-2/small", "best": "moge-2/large"}
"""Model for each word of ``--quality``."""


@dataclass(frozen=True, kw_only=True)
class NetworkOptions(TrustOptions):
    """Kind and settings of any model."""

    kind: Annotated[
        str | None, option(metavar="KIND", available_in=Interface.COMMAND, recorded="never")
    ] = None
    """Kind of depth that an unknown checkpoint predicts: metric, up_to_scale, affine or
    affine_inverse."""
    settings: Annotated[
        tuple[str, ...],
        option(
            repeats=True,
            name="set",
            metavar="NAME=VALUE",
            available_in=Interface.COMMAND,
            recorded="never",
            python_type=Sequence[str],
        ),
    ] = ()
    """Setting of the model, such as steps=4; 'rilievo models NAME' lists them. Repeat the option
    for several.
    """
    yes: Annotated[
        bool, option(available_in=Interface.COMMAND, affects="speed", recorded="never")
    ] = False
    """Agree in advance to the cost of a paid model."""

    @cached_property
    def model_settings(self) -> Mapping[str, str]:
        """Settings that the user chose, by name."""
        return parse_pairs(self.settings)


@dataclass(frozen=True, kw_only=True)
class Network(NetworkOptions):
    """Model that a run names, with its kind and settings."""

    HELP_TITLE: ClassVar[str] = "Model"
    FIELDS_BY_TITLE: ClassVar[FieldsByTitle] = {
        HELP_TITLE: ("quality", "model", "kind", "settings", "yes", "trust_code")
    }
    quality: Annotated[
        str | None,
        option(
            in_short_help=True,
            metavar="fast|good|best",
            available_in=Interface.LOCAL,
            recorded="never",
        ),
    ] = None
    """Choose the model by quality instead of by name. fast: rilievo/small, the fastest model, which
    works offline. good: MoGe-2 small (141 MB, downloaded once), which also predicts metres, normals
    and the camera. best: MoGe-2 large (1,324 MB).
    """
    model: Annotated[
        str,
        option(
            in_short_help=True,
            aliases=("-m",),
            metavar="NAME|FILE.onnx",
            default=f"{DEFAULT_MODEL}; for videos {FAST_MODEL}",
            expected="a name in rilievo.MODELS or the path of an ONNX file, as a string",
            available_in=Interface.LOCAL,
            recorded="never",
            python_type=str | DepthFunction,
        ),
    ] = ""
    """Model to use: a name that 'rilievo models' lists, an ONNX file exported by rilievo, ORG/NAME
    from the Hugging Face hub (optionally with @REVISION), or a folder that transformers saved.
    """

    def __post_init__(self) -> None:
        model: object = self.model
        if callable(model):
            object.__setattr__(self, "model", register_function(model))
        super().__post_init__()
        if self.quality is not None:
            object.__setattr__(self, "model", model_for_quality(self.quality, self.model))


def load_as(name: str | Path | DepthFunction, network: NetworkOptions, engine: Engine) -> "Model":
    """Load a model with the kind and settings of one record, and the engine of another."""
    return load(name, LoadOptions.from_records(network, engine, settings=network.model_settings))


@dataclass(frozen=True, kw_only=True)
class EngineOptions(TrustOptions, Engine):
    """Device and engine of a model."""

    def load(self, name: str | Path) -> "Model":
        """Load a model on this device and engine."""
        return load(name, LoadOptions.from_records(self))


@dataclass(frozen=True, kw_only=True)
class ModelOptions(NetworkOptions, Mirroring, EngineOptions):
    """Device, engine, settings and mirror image of a model."""

    def load(self, name: str | Path) -> "Model":
        """Load a model with these settings, on this device and engine."""
        return load_as(name, self, self)


def model_for_quality(
    quality: str | None, model: str | None = None, *, default: str = DEFAULT_MODEL
) -> str:
    """Name of the model for a word of ``--quality``; without one, ``model`` or the default.

    Raises:
        OptionError: If there is no such quality, or ``model`` names another model.
    """
    if quality is None:
        return model or default
    if quality not in QUALITIES:
        raise OptionError(f"no quality '{quality}'; {suggest(quality, QUALITIES)}")
    quality_model = QUALITIES[quality]
    if model and model != quality_model:
        raise OptionError(option="quality", without="model")
    return quality_model


def better_model_hint() -> str | None:
    """Recommend better models, but only on a terminal and once on each machine; otherwise None."""
    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    if not is_terminal or not _mark_first_hint():
        return None
    good, best = MODELS[QUALITIES["good"]], MODELS[QUALITIES["best"]]
    return Note(
        Text(
            "tip: ",
            OptionName("quality", "good"),
            f" gives much better results, because {good.name} also predicts metres, normals and "
            f"the camera ({good.megabytes:,.0f} MB, downloaded once; licence of the weights: "
            f"{good.licence}); for the best results, use ",
            OptionName("quality", "best"),
            f" ({best.megabytes:,.0f} MB)",
        )
    )


def _mark_first_hint() -> bool:
    """Mark in the cache that the hint was given; return whether this is the first time."""
    with suppress(OSError, ModelError, OutputError):
        folder = cache_directory()
        make_folder(folder)
        with (folder / "recommended").open("x"):
            return True
    return False
