"""Names of outputs: as users write them, by suffixes of paths, and for other words."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import OptionError, suggest
from rilievo.extensions.trust import is_import_path
from rilievo.io.files.names import printable
from rilievo.prediction.output import OUTPUTS

_MEANT: Mapping[str, tuple[str, ...]] = {
    **dict.fromkeys(("mesh", "gltf", "obj", "fbx", "3d", "surface"), ("glb", "ply")),
    **dict.fromkeys(
        ("pointcloud", "point-cloud", "points", "cloud", "pcd", "xyz", "las"), ("ply",)
    ),
    **dict.fromkeys(
        ("splats", "gaussian", "gaussians", "gaussian-splat", "3dgs", "gs"), ("splat",)
    ),
    **dict.fromkeys(("png", "jpg", "jpeg", "picture", "image", "heatmap"), ("colour",)),
    **dict.fromkeys(("depth", "numpy", "raw", "array"), ("npy", "png16")),
    **dict.fromkeys(("mp4", "video", "movie"), ("colour", "turn-mp4")),
    **dict.fromkeys(("gif", "webp", "wiggle", "animation"), ("turn",)),
    **dict.fromkeys(("16bit", "png-16", "depth16"), ("png16",)),
    **dict.fromkeys(("ar", "usd", "usda", "usdc", "iphone", "quicklook"), ("usdz",)),
    **dict.fromkeys(("page", "viewer", "web"), ("html",)),
    **dict.fromkeys(("3dsbs", "sbs", "anaglyph", "vr"), ("stereo",)),
}
_OF_SUFFIX = {".npy": "npy", ".tiff": "tiff", ".tif": "tiff", ".exr": "exr", ".png": "colour"}


def unknown_output_hint(name: str, names: Iterable[str]) -> str:
    """End of the message for an unknown output, with the nearest names."""
    from difflib import get_close_matches

    word, nearest = name.lower().lstrip("."), suggest(name, names)
    usual = get_close_matches(word, _MEANT, n=1, cutoff=0.75)
    # An output's own name that is near is taken before a usual word.
    meant = _MEANT.get(word) or (nearest.startswith("known: ") and _MEANT.get("".join(usual)))
    if not meant:
        return nearest
    return "use " + " or ".join(f"{output} ({OUTPUTS.own[output].summary})" for output in meant)


def parse_output_names(names: str | Sequence[str]) -> list[str]:
    """Names of outputs, as ``split_names`` reads them.

    Raises:
        OptionError: If a name is not in ``OUTPUTS``, nor an output's place.
    """
    outputs = split_names(names)
    for name in outputs:
        if not is_import_path(name) and name not in OUTPUTS:
            raise OptionError(f"no output '{name}'; {unknown_output_hint(name, OUTPUTS)}")
    return outputs


def split_names(names: str | Sequence[str]) -> list[str]:
    """Names of a list or text with commas, once; ``color`` is ``colour``."""
    stripped = (name.strip() for name in (names.split(",") if isinstance(names, str) else names))
    spelt = ("colour" if name == "color" else name for name in stripped if name)
    return list(dict.fromkeys(spelt))


@dataclass(frozen=True, slots=True, kw_only=True)
class StemAndOutput:
    """Path that names an output by its suffix."""

    stem: Path
    output: str


def output_by_suffix(path: Path) -> StemAndOutput | None:
    """Stem and output of ``cat.glb``; None without an output's suffix."""
    name = path.name
    # The longest first: .splat.ply also ends in .ply.
    for output, record in sorted(OUTPUTS.own.items(), key=lambda item: -len(item[1].suffix)):
        if name.lower().endswith(record.suffix) and len(name) > len(record.suffix):
            return StemAndOutput(stem=path.with_name(name[: -len(record.suffix)]), output=output)
    short = _OF_SUFFIX.get(path.suffix.lower())
    return None if short is None else StemAndOutput(stem=path.with_suffix(""), output=short)


def check_suffix(path: Path) -> None:
    """Refuse a suffix of no output; without one a path is a stem."""
    suffix = path.suffix
    if suffix not in ("", ".") and output_by_suffix(path) is None:
        raise OptionError(
            (
                f"no output has the suffix '{printable(suffix)}'; "
                f"{unknown_output_hint(suffix, OUTPUTS)}; after a stem with a dot, "
                "name the outputs too"
            ),
            path=printable(path),
        )
