"""The index of a saved pipeline of diffusers, and the files that the pipeline needs.

Nothing here imports torch.
"""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rilievo.errors import InputError, ModelError
from rilievo.errors.messages import join_alternatives
from rilievo.io.files.limits import read_text
from rilievo.io.json_record import parse_json
from rilievo.models.hub.diffusion_cards import INDEX_FILE
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Setting

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
        _check_part(name, part, path)
    settings = {name: value for name, value in parts_and_settings.items() if name not in parts}
    return PipelineIndex(class_name=class_name, parts=parts, settings=settings)


def _check_part(name: str, part: PipelinePart | None, path: Path) -> None:
    """Raise ``ModelError`` if the index ``path`` names no part, or one with custom code."""
    if not name.isidentifier():
        raise ModelError(f"'{name}' is not a valid name for a part of a pipeline", path=path)
    if part is not None and part.library not in LIBRARIES:
        raise ModelError(
            f"its {name} is from '{part.library}', which is custom code that rilievo "
            f"never runs; expected {join_alternatives(LIBRARIES)}",
            path=path,
        )


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
