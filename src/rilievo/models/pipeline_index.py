"""Index of a saved pipeline of diffusers, and the files that are needed of it.

The index, ``model_index.json``, names the pipeline's class and its parts. It is read before torch
is imported.
"""

import fnmatch
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rilievo.errors import InputError, ModelError
from rilievo.io.json_record import parse_json
from rilievo.io.limits import read_text
from rilievo.types import DepthKind, Setting

FILE = "model_index.json"
DEPTH, NORMALS = "MarigoldDepthPipeline", "MarigoldNormalsPipeline"
LIBRARIES = ("diffusers", "transformers")

_REFUSED = {
    "MarigoldIntrinsicsPipeline": "it answers with albedo, shading and material, "
    "which are neither depth nor normals",
}
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One part of a pipeline: a network, a scheduler, a tokenizer."""

    library: str
    class_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PipelineIndex:
    """Content of ``model_index.json``, checked."""

    class_name: str
    parts: Mapping[str, Part | None]
    settings: Mapping[str, Setting]

    @property
    def kind(self) -> DepthKind | None:
        """Kind of its depth, if the index states it."""
        said = self.settings.get("prediction_type")
        if self.class_name != DEPTH or said not in ("depth", "disparity"):
            return None
        free = self.settings.get("scale_invariant", True)
        shifted = self.settings.get("shift_invariant", True)
        if not free:
            return None
        if said == "disparity":
            return DepthKind.AFFINE_INVERSE
        return DepthKind.AFFINE if shifted else DepthKind.UP_TO_SCALE

    @property
    def normals(self) -> bool:
        """Whether the pipeline is known to predict normals."""
        return self.class_name == NORMALS


def read_index(folder: Path) -> PipelineIndex:
    """Read and check the index of a saved pipeline."""
    path = folder / FILE
    try:
        entries = parse_json(read_text(path))
        class_name = entries["_class_name"]
        public = {name: value for name, value in entries.items() if not name.startswith("_")}
        parts = {name: _part(value) for name, value in public.items() if isinstance(value, list)}
    except (InputError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{path}: not the index of a pipeline of diffusers") from error
    if not isinstance(class_name, str):
        raise ModelError(
            f"{path}: its pipeline is {str(class_name)[:80]}, custom code, which is never run; "
            "expected a class of diffusers"
        )
    if class_name in _REFUSED:
        raise ModelError(f"{path}: a {class_name}: {_REFUSED[class_name]}")
    for name, part in parts.items():
        if not name.isidentifier():
            raise ModelError(f"{path}: '{name}' is not the name of a part")
        if part is not None and part.library not in LIBRARIES:
            raise ModelError(
                f"{path}: its {name} is of '{part.library}', custom code, which is never run; "
                f"expected {' or '.join(LIBRARIES)}"
            )
    settings = {name: value for name, value in public.items() if name not in parts}
    return PipelineIndex(class_name=class_name, parts=parts, settings=settings)


def wanted(files: Sequence[str]) -> Sequence[str]:
    """Files of a repository that are needed: each part's configuration and weights.

    Weights in full precision are preferred, because they serve every precision.
    """
    if FILE not in files:
        raise ModelError(f"no {FILE} among its files: not a pipeline of diffusers")
    chosen = [FILE]
    folders: dict[str, list[str]] = {}
    for name in files:
        folder, _, rest = name.partition("/")
        if rest and "/" not in rest:
            folders.setdefault(folder, []).append(rest)
    for folder, names in sorted(folders.items()):
        chosen += [f"{folder}/{name}" for name in _wanted_part(folder, names)]
    return chosen


def variant(files: Sequence[str], part: str) -> str | None:
    """Variant of a part's weights: None for the plain ones, otherwise ``fp16``."""
    inside = [name.partition("/")[2] for name in files if name.startswith(f"{part}/")]
    if _matching(inside, _PLAIN) or not _matching(inside, _HALF):
        return None
    return _HALF[1:]


def _wanted_part(folder: str, names: Sequence[str]) -> Sequence[str]:
    weights = _matching(names, _PLAIN) or _matching(names, _HALF)
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


def _matching(names: Sequence[str], which: str) -> list[str]:
    patterns = [pattern.format(which) for pattern in _WEIGHTS]
    found = [name for name in names if any(fnmatch.fnmatchcase(name, each) for each in patterns)]
    return found if any(name.endswith(".safetensors") for name in found) else []


def _part(value: Any) -> Part | None:
    library, class_name = value
    if library is None and class_name is None:
        return None
    if not isinstance(library, str) or not isinstance(class_name, str):
        raise TypeError("a part is named by its library and its class")
    return Part(library=library, class_name=class_name)
