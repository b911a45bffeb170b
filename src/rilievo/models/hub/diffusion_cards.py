"""Pipelines of diffusers that predict depth or normals: cards, settings, and saved files."""

import fnmatch
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rilievo.errors import InputError, ModelError, OptionError
from rilievo.errors.messages import join_alternatives
from rilievo.io.files.limits import read_text
from rilievo.io.json_record import parse_json
from rilievo.models.card import ModelCard, known_models
from rilievo.models.requests import FoundModel, ModelRequest
from rilievo.models.resampling.inference import Filter, Resizing
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Setting

INDEX_FILE = "model_index.json"
DEPTH_PIPELINE, NORMALS_PIPELINE = "MarigoldDepthPipeline", "MarigoldNormalsPipeline"
LIBRARIES = ("diffusers", "transformers")
"""Libraries whose classes a pipeline may name; others would run code that came with it."""

_WEIGHTS_NAME_PATTERNS = (
    "diffusion_pytorch_model{}.safetensors",
    "diffusion_pytorch_model{}-*-of-*.safetensors",
    "diffusion_pytorch_model.safetensors.index{}.json",
    "model{}.safetensors",
    "model{}-*-of-*.safetensors",
    "model.safetensors.index{}.json",
)
"""Names of the files with weights, with the variant in place of {}."""
_UNSAFE_SUFFIXES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle", ".msgpack", ".h5")
"""Suffixes of files with weights that may also hold code."""
_FP32, _FP16 = "", ".fp16"
"""Variants of the weights, as file names state them."""

PREFIX = "diffusers:"
LOADER = "diffusers"
EXTRA = "models"
SETTINGS = "rilievo.models.hub.diffusion_cards:DiffusionSettings"
RESIZING = Resizing(filter=Filter.LINEAR)
"""As in Marigold (``resample_method_output``)."""
_MEGABYTES = 5160.0
"""Size of the weights of Stable Diffusion 2 in fp32, on which the known pipelines are based."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelinePart:
    """Part of a pipeline, such as its network, by library and class."""

    library: str
    class_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineIndex:
    """Content of ``model_index.json``, which names no custom code.

    Attributes:
        class_name: Class of the pipeline in diffusers.
        parts: Parts by name; None for a part that the pipeline does not have.
        settings: All other entries.
    """

    class_name: str
    parts: Mapping[str, PipelinePart | None]
    settings: Mapping[str, Setting]

    @property
    def kind(self) -> DepthKind | None:
        """Kind of its depth; None if it predicts no depth, or one that rilievo does not know."""
        prediction_type = self.settings.get("prediction_type")
        if self.class_name != DEPTH_PIPELINE or prediction_type not in ("depth", "disparity"):
            return None
        is_scale_invariant = self.settings.get("scale_invariant", True)
        if not is_scale_invariant:
            return None
        if prediction_type == "disparity":
            return DepthKind.AFFINE_INVERSE
        is_shift_invariant = self.settings.get("shift_invariant", True)
        return DepthKind.AFFINE if is_shift_invariant else DepthKind.UP_TO_SCALE

    @property
    def normals(self) -> bool:
        """Whether it predicts normals."""
        return self.class_name == NORMALS_PIPELINE


def read_index(folder: Path) -> PipelineIndex:
    """Read the index of a saved pipeline."""
    path = folder / INDEX_FILE
    try:
        entries = parse_json(read_text(path))
        class_name = entries["_class_name"]
        parts_and_settings = {
            name: value for name, value in entries.items() if not name.startswith("_")
        }
        parts = {
            name: _parse_part(value)
            for name, value in parts_and_settings.items()
            if isinstance(value, list)
        }
    except (InputError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError("is not a valid index of a diffusers pipeline", path=path) from error
    if not isinstance(class_name, str):
        raise ModelError(
            f"its pipeline is {str(class_name)[:80]}, which is custom code that rilievo "
            "never runs; expected a class from diffusers",
            path=path,
        )
    for name, part in parts.items():
        if not name.isidentifier():
            raise ModelError(f"'{name}' is not a valid name for a part of a pipeline", path=path)
        if part is not None and part.library not in LIBRARIES:
            raise ModelError(
                f"its {name} is from '{part.library}', which is custom code that rilievo "
                f"never runs; expected {join_alternatives(LIBRARIES)}",
                path=path,
            )
    settings = {name: value for name, value in parts_and_settings.items() if name not in parts}
    return PipelineIndex(class_name=class_name, parts=parts, settings=settings)


def needed_files(files: Sequence[str]) -> Sequence[str]:
    """Select the files that a pipeline needs: configurations and weights, preferably in fp32."""
    if INDEX_FILE not in files:
        raise ModelError(
            f"the model's files do not include {INDEX_FILE}, so it is not a diffusers pipeline"
        )
    names_by_folder: dict[str, list[str]] = {}
    for path in files:
        folder, _, name = path.partition("/")
        if name and "/" not in name:
            names_by_folder.setdefault(folder, []).append(name)

    needed = [INDEX_FILE]
    for folder, names in sorted(names_by_folder.items()):
        needed += [f"{folder}/{name}" for name in _needed_part_files(folder, names)]
    return needed


def weights_variant(files: Sequence[str], part: str) -> str | None:
    """Variant of a part's weights as diffusers names it: "fp16", or None for fp32."""
    names = [path.partition("/")[2] for path in files if path.startswith(f"{part}/")]
    if _weights_files(names, _FP32) or not _weights_files(names, _FP16):
        return None
    return _FP16.removeprefix(".")


def _needed_part_files(folder: str, names: Sequence[str]) -> Sequence[str]:
    """Select configurations and weights among the files in the folder of a part."""
    weights = _weights_files(names, _FP32) or _weights_files(names, _FP16)
    unsafe = [name for name in names if name.endswith(_UNSAFE_SUFFIXES)]
    if unsafe and not weights:
        raise ModelError(
            f"{folder}/{unsafe[0]} may contain code, so rilievo does not read it; expected "
            "weights in the safetensors format in the same folder"
        )
    configurations = [
        name for name in names if name.endswith((".json", ".txt")) and ".safetensors." not in name
    ]
    return [*configurations, *weights]


def _weights_files(names: Sequence[str], variant: str) -> list[str]:
    """Files with the weights of a variant and their index; empty if there is only an index."""
    patterns = [pattern.format(variant) for pattern in _WEIGHTS_NAME_PATTERNS]

    def matches(name: str) -> bool:
        return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)

    files = [name for name in names if matches(name)]
    return files if any(name.endswith(".safetensors") for name in files) else []


def _parse_part(value: Any) -> PipelinePart | None:
    """Parse ``[library, class]``; None for a part that the pipeline does not have."""
    library, class_name = value
    if library is None and class_name is None:
        return None
    if not isinstance(library, str) or not isinstance(class_name, str):
        raise TypeError("a part must state its library and its class")
    return PipelinePart(library=library, class_name=class_name)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiffusionSettings:
    """Settings of Marigold, and of pipelines with its interface."""

    steps: int | None = None
    """Number of denoising steps; by default what the checkpoint's authors recommend."""
    ensemble: int = 1
    """Number of predictions from different noise that are aligned and merged, 1 or at least 3. More
    than one also gives a confidence. The time grows with this number, but the memory hardly does.
    """
    seed: int = 0
    """Seed of the noise. The same seed gives the same result."""
    resolution: int | None = None
    """Longer side to which photographs are resized [px]. 0 keeps their size. By default 768, as the
    authors recommend. The memory grows with the square of this side.
    """

    def __post_init__(self) -> None:
        if self.steps is not None and not 1 <= self.steps <= 1000:
            raise OptionError(f"steps must be 1 to 1000, got {self.steps}")
        if not 1 <= self.ensemble <= 100 or self.ensemble == 2:
            raise OptionError(
                f"ensemble must be 1, or 3 to 100 (two members have no median), got {self.ensemble}"
            )
        if not 0 <= self.seed < 2**63:
            raise OptionError(f"seed must be 0 to 2^63 - 1, got {self.seed}")
        if self.resolution is not None and not (
            self.resolution == 0 or 32 <= self.resolution <= 8192
        ):
            raise OptionError(f"resolution must be 0, or 32 to 8192 pixels, got {self.resolution}")


def _pipeline_card(kind: str | None = None, **fields: Any) -> ModelCard:
    return ModelCard(
        kind=None if kind is None else DepthKind(kind),
        confidence=True,
        extra=EXTRA,
        loader=LOADER,
        settings=SETTINGS,
        resizing=RESIZING,
        **fields,
    )


# A Marigold predicts depth in [0, 1] with the nearest surface at 0, or normals.
REPOSITORIES: Mapping[str, ModelCard] = {
    row["source"]: _pipeline_card(
        normals="kind" not in row,
        commercial=True,
        megabytes=_MEGABYTES,
        speed="minutes; a GPU is recommended",
        **row,
    )
    for row in known_models("pipelines")
}
"""Cards of known pipelines by their repository on the hub."""


def listed_cards() -> tuple[ModelCard, ...]:
    """Cards of all known pipelines."""
    return tuple(REPOSITORIES.values())


def unlisted_card(source: str, kind: DepthKind | None, *, local: bool) -> ModelCard:
    """Card of an unknown pipeline, in a local folder or in a repository of the hub."""
    return _pipeline_card(
        kind,
        name=source if local else PREFIX + source,
        summary="a pipeline in a local folder" if local else "a pipeline from the hub",
        licence="not stated" if local else f"see https://huggingface.co/{source}",
        source=source,
    )


def find(request: ModelRequest) -> FoundModel | None:
    """Find the pipeline that a request names."""
    return find_pipeline(request.text, request.kind)


def find_pipeline(name: str, kind: DepthKind | None) -> FoundModel | None:
    """Find a pipeline by its folder, by its known repository, or by ``diffusers:ORG/NAME``."""
    if os.path.isfile(Path(name) / INDEX_FILE):
        return FoundModel(card=unlisted_card(str(Path(name).resolve()), kind, local=True))
    repository, _, revision = name.removeprefix(PREFIX).partition("@")
    if repository in REPOSITORIES:
        return FoundModel(card=REPOSITORIES[repository], revision=revision or None)
    if name.startswith(PREFIX):
        card = unlisted_card(repository, kind, local=False)
        return FoundModel(card=card, revision=revision or None)
    return None
