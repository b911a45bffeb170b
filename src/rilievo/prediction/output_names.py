"""Names of outputs as users write them: in options, as suffixes of paths, and as synonyms."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import OptionError, suggest
from rilievo.extensions.trust import is_import_path
from rilievo.io.files.names import printable
from rilievo.prediction.output import OUTPUTS

_SYNONYMS_BY_OUTPUTS: Mapping[tuple[str, ...], tuple[str, ...]] = {
    ("glb", "ply"): ("mesh", "gltf", "obj", "fbx", "3d", "surface"),
    ("ply",): ("pointcloud", "point-cloud", "points", "cloud", "pcd", "xyz", "las"),
    ("splat",): ("splats", "gaussian", "gaussians", "gaussian-splat", "3dgs", "gs"),
    ("colour",): ("png", "jpg", "jpeg", "picture", "image", "heatmap"),
    ("npy", "png16"): ("depth", "numpy", "raw", "array"),
    ("colour", "turn-mp4"): ("mp4", "video", "movie"),
    ("turn",): ("gif", "webp", "wiggle", "animation"),
    ("png16",): ("16bit", "png-16", "depth16"),
    ("usdz",): ("ar", "usd", "usda", "usdc", "iphone", "quicklook"),
    ("gdepth",): ("depth-photo", "depthphoto", "portrait", "xmp", "dynamic-depth"),
    ("html",): ("page", "viewer", "web"),
    ("stereo",): ("3dsbs", "sbs", "anaglyph", "vr"),
}
"""Words that users try, by the outputs that they probably mean."""
_OUTPUTS_BY_SYNONYM: Mapping[str, tuple[str, ...]] = {
    word: outputs for outputs, words in _SYNONYMS_BY_OUTPUTS.items() for word in words
}
_OUTPUT_BY_SHORT_SUFFIX: Mapping[str, str] = {
    ".npy": "npy",
    ".tiff": "tiff",
    ".tif": "tiff",
    ".exr": "exr",
    ".png": "colour",
}
"""Output of a path such as ``cat.npy``, whose full suffix would be ``.depth.npy``."""


def parse_output_names(names: str | Sequence[str]) -> list[str]:
    """Parse the names of outputs from a list or a text with commas.

    The import path of another package's output is returned as it is, without a check.

    Raises:
        OptionError: If there is no such output.
    """
    output_names = split_names(names)
    for name in output_names:
        if not is_import_path(name) and name not in OUTPUTS:
            raise OptionError(f"no output '{name}'; {unknown_output_hint(name, OUTPUTS)}")
    return output_names


def split_names(names: str | Sequence[str]) -> list[str]:
    """Split a text with commas into names without repetitions; ``color`` becomes ``colour``."""
    parts = names.split(",") if isinstance(names, str) else names
    stripped = [part.strip() for part in parts]
    british_spellings = ["colour" if name == "color" else name for name in stripped if name]
    return list(dict.fromkeys(british_spellings))


def unknown_output_hint(name: str, known_names: Iterable[str]) -> str:
    """Suggest the output that the user may have meant, as the second half of an error message.

    A synonym such as "mesh" comes first, then a name or a synonym that is similar, whichever is
    more so.
    """
    from difflib import get_close_matches

    word = name.lower().lstrip(".")
    known_names = list(known_names)
    intended_outputs = _OUTPUTS_BY_SYNONYM.get(word)
    if intended_outputs is None:
        closest = get_close_matches(word, [*known_names, *_OUTPUTS_BY_SYNONYM], n=1, cutoff=0.75)
        intended_outputs = _OUTPUTS_BY_SYNONYM.get(closest[0]) if closest else None
    if intended_outputs is None:
        return suggest(name, known_names)
    described = [f"{output} ({OUTPUTS.own[output].summary})" for output in intended_outputs]
    return "use " + " or ".join(described)


@dataclass(frozen=True, slots=True, kw_only=True)
class StemAndOutput:
    """A path such as ``out/cat.glb``, split into its stem ``out/cat`` and its output ``glb``."""

    stem: Path
    output: str


def split_output_suffix(path: Path) -> StemAndOutput | None:
    """Split the suffix of an output from a path; None if the path does not end with one."""
    # The longest suffix comes first, because .splat.ply also ends in .ply.
    outputs = sorted(OUTPUTS.own.items(), key=lambda item: -len(item[1].suffix))
    for name, output in outputs:
        has_suffix = path.name.lower().endswith(output.suffix)
        if has_suffix and len(path.name) > len(output.suffix):
            stem = path.with_name(path.name[: -len(output.suffix)])
            return StemAndOutput(stem=stem, output=name)
    output_by_short_suffix = _OUTPUT_BY_SHORT_SUFFIX.get(path.suffix.lower())
    if output_by_short_suffix is None:
        return None
    return StemAndOutput(stem=path.with_suffix(""), output=output_by_short_suffix)


def check_suffix(path: Path) -> None:
    """Raise ``OptionError`` if no output has the suffix of a path; a path without one is a stem."""
    suffix = path.suffix
    if suffix in ("", ".") or split_output_suffix(path) is not None:
        return
    raise OptionError(
        f"no output has the suffix '{printable(suffix)}'; if the suffix is part of the file's "
        f"name, also give the names of the outputs; {unknown_output_hint(suffix, OUTPUTS)}",
        path=printable(path),
    )
