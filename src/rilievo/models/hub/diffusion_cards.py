"""Known diffusion models and their settings, without torch."""

import fnmatch
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rilievo.errors import InputError, ModelError, OptionError
from rilievo.io.files.limits import read_text
from rilievo.io.json_record import parse_json
from rilievo.models.card import ModelCard, known_models
from rilievo.models.requests import FoundModel, ModelRequest
from rilievo.models.resampling.inference import Filter, Resizing
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Setting

INDEX_FILE = "model_index.json"
DEPTH, NORMALS = "MarigoldDepthPipeline", "MarigoldNormalsPipeline"
LIBRARIES = ("diffusers", "transformers")

_WEIGHTS = (
    "diffusion_pytorch_model{}.safetensors",
    "diffusion_pytorch_model{}-*-of-*.safetensors",
    "diffusion_pytorch_model.safetensors.index{}.json",
    "model{}.safetensors",
    "model{}-*-of-*.safetensors",
    "model.safetensors.index{}.json",
)
_OTHER_WEIGHTS = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5")
_PLAIN, _HALF = "", ".fp16"

PREFIX = "diffusers:"

LOADER = "diffusers"

# As in Marigold (``resample_method_output``).
RESIZING = Resizing(filter=Filter.LINEAR)
SETTINGS = "rilievo.models.hub.diffusion_cards:DiffusionSettings"

EXTRA = "models"

# Weights of Stable Diffusion 2 in fp32.
MEGABYTES = 5160.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """Part of a pipeline, as a network."""

    library: str
    class_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineIndex:
    """Checked content of ``model_index.json``."""

    class_name: str
    parts: Mapping[str, Part | None]
    settings: Mapping[str, Setting]

    @property
    def kind(self) -> DepthKind | None:
        """Kind of its depth, if stated."""
        prediction_type = self.settings.get("prediction_type")
        if self.class_name != DEPTH or prediction_type not in ("depth", "disparity"):
            return None
        free = self.settings.get("scale_invariant", True)
        shifted = self.settings.get("shift_invariant", True)
        if not free:
            return None
        if prediction_type == "disparity":
            return DepthKind.AFFINE_INVERSE
        return DepthKind.AFFINE if shifted else DepthKind.UP_TO_SCALE

    @property
    def normals(self) -> bool:
        """Whether it predicts normals."""
        return self.class_name == NORMALS


def read_index(folder: Path) -> PipelineIndex:
    """Read and check the index of a saved pipeline."""
    path = folder / INDEX_FILE
    try:
        entries = parse_json(read_text(path))
        class_name = entries["_class_name"]
        public = {name: value for name, value in entries.items() if not name.startswith("_")}
        parts = {
            name: _parse_part(value) for name, value in public.items() if isinstance(value, list)
        }
    except (InputError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError("not the index of a pipeline of diffusers", path=path) from error
    if not isinstance(class_name, str):
        raise ModelError(
            (
                f"its pipeline is {str(class_name)[:80]}, custom code, which is "
                "never run; expected a class of diffusers"
            ),
            path=path,
        )
    for name, part in parts.items():
        if not name.isidentifier():
            raise ModelError(f"'{name}' is not the name of a part", path=path)
        if part is not None and part.library not in LIBRARIES:
            raise ModelError(
                (
                    f"its {name} is of '{part.library}', custom code, which is "
                    f"never run; expected {' or '.join(LIBRARIES)}"
                ),
                path=path,
            )
    settings = {name: value for name, value in public.items() if name not in parts}
    return PipelineIndex(class_name=class_name, parts=parts, settings=settings)


def needed_files(files: Sequence[str]) -> Sequence[str]:
    """Configurations and weights that a pipeline needs, preferably fp32."""
    if INDEX_FILE not in files:
        raise ModelError(f"no {INDEX_FILE} among its files: not a pipeline of diffusers")
    chosen = [INDEX_FILE]
    folders: dict[str, list[str]] = {}
    for name in files:
        folder, _, rest = name.partition("/")
        if rest and "/" not in rest:
            folders.setdefault(folder, []).append(rest)
    for folder, names in sorted(folders.items()):
        chosen += [f"{folder}/{name}" for name in _needed_part_files(folder, names)]
    return chosen


def weights_variant(files: Sequence[str], part: str) -> str | None:
    """Variant of a part's weights: None, or ``fp16``."""
    inside = [name.partition("/")[2] for name in files if name.startswith(f"{part}/")]
    if _weights_files(inside, _PLAIN) or not _weights_files(inside, _HALF):
        return None
    return _HALF[1:]


def _needed_part_files(folder: str, names: Sequence[str]) -> Sequence[str]:
    weights = _weights_files(names, _PLAIN) or _weights_files(names, _HALF)
    others = [name for name in names if name.endswith(_OTHER_WEIGHTS)]
    if others and not weights:
        raise ModelError(
            f"{folder}/{others[0]} may hold code and is not read, and there are no weights as "
            "safetensors beside it"
        )
    texts = [
        name for name in names if name.endswith((".json", ".txt")) and ".safetensors." not in name
    ]
    return [*texts, *weights]


def _weights_files(names: Sequence[str], which: str) -> list[str]:
    patterns = [pattern.format(which) for pattern in _WEIGHTS]
    files = [
        name for name in names if any(fnmatch.fnmatchcase(name, wildcard) for wildcard in patterns)
    ]
    return files if any(name.endswith(".safetensors") for name in files) else []


def _parse_part(value: Any) -> Part | None:
    library, class_name = value
    if library is None and class_name is None:
        return None
    if not isinstance(library, str) or not isinstance(class_name, str):
        raise TypeError("a part is named by its library and its class")
    return Part(library=library, class_name=class_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionSettings:
    """Settings of Marigold and pipelines with its interface."""

    steps: int | None = None
    """Number of denoising steps; by default what the checkpoint's authors recommend."""
    ensemble: int = 1
    """Number of predictions from different noise that are aligned and merged, 1 or at least 3; more
    than one also gives a confidence. Time grows with it, memory hardly.
    """
    seed: int = 0
    """Seed of the noise, which alone decides the result."""
    resolution: int | None = None
    """Longer side [px] to which photographs are resized; 0 keeps their own; by default the authors'
    768.
    Memory grows with its square.
    """

    def __post_init__(self) -> None:
        if self.steps is not None and not 1 <= self.steps <= 1000:
            raise OptionError(f"steps is 1 to 1000, got {self.steps}")
        if not 1 <= self.ensemble <= 100 or self.ensemble == 2:
            raise OptionError(
                f"ensemble is 1, or 3 to 100 (two members have no median), got {self.ensemble}"
            )
        if not 0 <= self.seed < 2**63:
            raise OptionError(f"seed is 0 to 2^63 - 1, got {self.seed}")
        if self.resolution is not None and not (
            self.resolution == 0 or 32 <= self.resolution <= 8192
        ):
            raise OptionError(f"resolution is 0, or 32 to 8192 pixels, got {self.resolution}")


def _pipeline_card(kind: str | None = None, **facts: Any) -> ModelCard:
    return ModelCard(
        kind=None if kind is None else DepthKind(kind),
        confidence=True,
        extra=EXTRA,
        loader=LOADER,
        settings=SETTINGS,
        resizing=RESIZING,
        **facts,
    )


# A Marigold answers depth in [0, 1] with the nearest surface at 0, or normals.
REPOSITORIES: Mapping[str, ModelCard] = {
    row["source"]: _pipeline_card(
        normals="kind" not in row,
        commercial=True,
        megabytes=MEGABYTES,
        speed="minutes; a GPU is expected",
        **row,
    )
    for row in known_models("pipelines")
}


def listed_cards() -> tuple[ModelCard, ...]:
    """Cards of all known pipelines."""
    return tuple(REPOSITORIES.values())


def unlisted_card(source: str, kind: DepthKind | None, *, local: bool) -> ModelCard:
    """Card of an unknown pipeline, before its files are read."""
    return _pipeline_card(
        kind,
        name=source if local else PREFIX + source,
        summary="a pipeline in a local folder" if local else "a pipeline of the hub",
        licence="not stated" if local else f"see https://huggingface.co/{source}",
        source=source,
    )


def find(request: ModelRequest) -> FoundModel | None:
    """Find a pipeline that has no short name."""
    pipeline = find_pipeline(request.text, request.kind)
    return None if pipeline is None else FoundModel(card=pipeline[0], revision=pipeline[1])


def find_pipeline(name: str, kind: DepthKind | None) -> tuple[ModelCard, str | None] | None:
    """Card and revision of a pipeline's name or folder."""
    if os.path.isfile(Path(name) / INDEX_FILE):
        return unlisted_card(str(Path(name).resolve()), kind, local=True), None
    repository, _, revision = name.removeprefix(PREFIX).partition("@")
    if repository in REPOSITORIES:
        return REPOSITORIES[repository], revision or None
    if name.startswith(PREFIX):
        return unlisted_card(repository, kind, local=False), revision or None
    return None
