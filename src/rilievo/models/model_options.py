"""Options of choosing and running a model, which several commands share."""

import sys
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import tyro

from rilievo.errors import ModelError, OptionError, OutputError, suggest
from rilievo.io.atomic import make_folder
from rilievo.models import DEFAULT_MODEL, FAST_MODEL, MODELS, load_model
from rilievo.models.engines import cache_directory

if TYPE_CHECKING:
    from rilievo.models.base import Model


Rule = tuple[str, Callable[[float], bool], str]
"""Name of an option, whether a value is in its range, and the range in words."""


def check_rules(options: object, rules: Iterable[Rule]) -> None:
    """Refuse an option that is out of its range; None is always in it."""
    for name, is_fine, words in rules:
        value = getattr(options, name)
        if value is not None and not is_fine(value):
            raise OptionError(f"--{name.replace('_', '-')} is {words}, got {value}")


@dataclass(frozen=True, kw_only=True)
class TrustOptions:
    """Code that files may name."""

    trust_code: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]], tyro.conf.arg(metavar="MODULE:NAME")
    ] = ()
    """Code that a file may name and that is then run, such as the backbone of somebody's run:
    package.module:NAME or FILE.py:NAME exactly as the file states it. Without this option such a
    file is refused. Repeat the option for several.
    """


@dataclass(frozen=True, kw_only=True)
class EngineOptions(TrustOptions):
    """Device and engine of a model."""

    device: str = "auto"
    """Device to run on: auto, cpu, cuda, cuda:N, coreml or directml."""
    engine: str = "auto"
    """Inference engine: onnxruntime, openvino (extra 'fast') or torch (models of the extra
    'models', which the others run too, converted once); auto takes the model's default.
    """
    precision: str = "fp32"
    """Precision of the arithmetic: fp32; or, faster and less exact, bf16 with openvino or torch,
    fp16 with torch on cuda, int8 with onnxruntime for published models and those of the extra
    'models'. It is recorded in the results.
    """
    threads: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Threads of the network; by default one per core."""

    def __post_init__(self) -> None:
        check_rules(self, (("threads", lambda value: value >= 1, "1 or more"),))

    def load(self, name: str | Path) -> "Model":
        """Load a model to run so."""
        return load_model(
            name,
            device=self.device,
            engine=self.engine,
            precision=self.precision,
            threads=self.threads,
            trust_code=self.trust_code,
        )


@dataclass(frozen=True, kw_only=True)
class ModelOptions(EngineOptions):
    """Device, engine and settings of a model."""

    kind: Annotated[str | None, tyro.conf.arg(metavar="KIND")] = None
    """Kind of depth that an unknown checkpoint predicts: metric, up_to_scale, affine or
    affine_inverse."""
    settings: Annotated[
        tyro.conf.UseAppendAction[tuple[str, ...]],
        tyro.conf.arg(name="set", metavar="NAME=VALUE"),
    ] = ()
    """Setting of the model, such as steps=4. 'rilievo models NAME' lists its settings. Repeat the
    option for several.
    """
    yes: bool = False
    """Agree in advance to the cost of a paid model."""
    flip: bool = False
    """Average with the prediction for the mirror image; takes twice the time."""
    confidence: Annotated[str, tyro.conf.arg(metavar="own|mirror")] = "own"
    """Confidence of the results. own: that of the model. mirror: agreement of its depth with that
    of the mirror image, which ranks errors better on unfamiliar cameras; takes twice the time.
    """

    def __post_init__(self) -> None:
        super().__post_init__()
        check_confidence(self.confidence, flip=self.flip)

    @property
    def mirrors(self) -> bool:
        """Whether confidence is agreement with the mirror image."""
        return self.confidence == "mirror"

    @property
    def model_settings(self) -> Mapping[str, str]:
        """Settings of ``--set``, by name."""
        if not self.settings:
            return {}
        from rilievo.models.settings import parse_pairs

        return parse_pairs(self.settings)

    def load(self, name: str | Path) -> "Model":
        """Load a model to run so, with its settings."""
        return load_model(
            name,
            kind=self.kind,
            device=self.device,
            engine=self.engine,
            precision=self.precision,
            threads=self.threads,
            settings=self.model_settings if self.settings else None,
            trust_code=self.trust_code,
        )


def check_confidence(confidence: str, *, flip: bool) -> None:
    """Refuse another word than own and mirror, and mirror beside ``flip``."""
    if confidence not in ("own", "mirror"):
        raise OptionError(f"confidence is own or mirror, got '{confidence}'")
    if confidence == "mirror" and flip:
        raise OptionError(
            "--flip (flip=True) and --confidence mirror (confidence='mirror') do not go together: "
            "an average with the mirror image agrees with it everywhere; give one"
        )


QUALITIES = {"fast": FAST_MODEL, "good": "moge-2/small", "best": "moge-2/large"}
"""Model of each word: the fast embedded one, the small strong one, the large one."""


def model_of(quality: str | None, model: str | None = None, *, default: str = DEFAULT_MODEL) -> str:
    """Name of the model for a quality word, a model name, or the default for neither."""
    if quality is None:
        return model or default
    if quality not in QUALITIES:
        raise OptionError(f"no quality '{quality}'; {suggest(quality, QUALITIES)}")
    named = QUALITIES[quality]
    if model and model != named:
        raise OptionError("quality and model do not go together; give one")
    return named


def recommend() -> str | None:
    """Hint at a better model than the embedded one; once per machine, on a terminal."""
    if sys.stderr is None or not sys.stderr.isatty() or not _is_first():
        return None
    good, best = MODELS[QUALITIES["good"]], MODELS[QUALITIES["best"]]
    return (
        f"tip: --quality good is much better: {good.name}, metres, normals and the camera; "
        f"{good.megabytes:,.0f} MB, downloaded once, weights {good.licence} "
        f"(best: {best.megabytes:,.0f} MB)"
    )


def _is_first() -> bool:
    """Whether this is the first hint on this machine; False without a cache folder."""
    with suppress(OSError, ModelError, OutputError):
        folder = cache_directory()
        make_folder(folder)
        with (folder / "recommended").open("x"):
            return True
    return False
