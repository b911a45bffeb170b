"""Digests of what a journey writes and prints, small enough to be stored, and their comparison."""

import json
import re
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

PIXELS = 64
EXACT = 1e-4
"""Largest difference of a number, relative to its size and to the spread of its array."""
LEVELS = {"uint8": 3.0, "lossy": 12.0, "uint16": 2.0}
"""Largest difference of a pixel in a picture, in its own levels."""

PASSING = re.compile(
    r"second|bytes|_ns|sha256|crc32|version|processing|minutes|time|date|rate|host|count$"
)
"""Keys of JSON whose values change from run to run, or with the program."""
WORDS = (
    "kind",
    "source",
    "unit",
    "output",
    "model",
    "licence",
    "metric",
    "name",
    "label",
    "align",
    "format",
)
"""Keys of JSON whose text is compared."""
INNER = ("answer", "earlier")
"""Keys at the top of JSON that no user reads."""
_NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e[+-]?\d+)?")
_PASSING_WORDS = re.compile(
    r"\d[\d.,]* ?(?:ms|s|seconds?|min|minutes?|h|kB|MB|GB|a second)\b|\d[\d.]*e[+-]\d+"
)
_HASH = re.compile(r"[0-9a-f]{8,}")
_TEMPORARY = re.compile(r".*/rilievo-journeys-[^/]*/")


def of_array(array: np.ndarray, levels: str = "") -> dict[str, Any]:
    """Shape, median, spread and the values of pixels at fixed places."""
    flat = np.asarray(array).reshape(-1)
    values = flat
    if flat.size > PIXELS:
        places = np.linspace(0, flat.size - 1, PIXELS + 2).astype(int)[1:-1]
        # Steps aside, so that the places are not all in one column.
        values = flat[(places + 7 * np.arange(PIXELS)) % flat.size]
    if flat.dtype.kind not in "fiub":
        return {"shape": list(np.shape(array)), "type": flat.dtype.kind}
    numbers = flat[np.isfinite(flat)].astype(float)
    low, median, high = np.percentile(numbers, (10, 50, 90)) if numbers.size else (0, 0, 0)
    return {
        "shape": list(np.shape(array)),
        "type": levels or str(flat.dtype),
        "median": _short(median),
        "spread": _short(high - low),
        "pixels": [_short(value) for value in values.astype(float)],
    }


def _short(value: float) -> float | int | None:
    if not np.isfinite(value):
        return None
    short = float(f"{value:.6g}")
    return int(short) if short.is_integer() else short


def of_json(value: Any) -> dict[str, Any]:
    """Keys, the numbers below them, and the words that say what they mean."""
    keys: dict[str, list[Any]] = {}
    for key, leaf in _leaves(value, ""):
        if key.partition(".")[0] not in INNER:
            keys.setdefault(key, []).append(leaf)
    digest: dict[str, Any] = {}
    for key, leaves in sorted(keys.items()):
        name = key.rpartition(".")[2].removesuffix("[]")
        numbers = [leaf for leaf in leaves if isinstance(leaf, int | float)]
        words = sorted({_TEMPORARY.sub("", leaf) for leaf in leaves if isinstance(leaf, str)})
        if PASSING.search(key):
            digest[key] = None
        elif numbers:
            digest[key] = [_short(float(number)) for number in numbers[:6]]
        else:
            digest[key] = words if name in WORDS else None
    return digest


def _leaves(value: Any, key: str) -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _leaves(inner, f"{key}.{name}" if key else str(name))
    elif isinstance(value, list) and value:
        for inner in value:
            yield from _leaves(inner, f"{key}[]")
    else:
        yield key, value


def of_file(path: Path) -> Any:
    """Digest of a file by its suffix; None where only its name is compared."""
    digest = _DIGESTS.get(path.suffix)
    return None if digest is None else digest(path)


def _of_npz(path: Path) -> dict[str, Any]:
    with np.load(path) as arrays:
        return {name: of_array(arrays[name]) for name in sorted(arrays)}


def _of_picture(path: Path) -> dict[str, Any]:
    with Image.open(path) as image:
        levels = "" if path.suffix in (".png", ".tiff") else "lossy"
        return of_array(np.asarray(image), levels)


def _of_ply(path: Path) -> dict[str, Any]:
    header = path.read_bytes()[:4096].partition(b"end_header")[0].decode("latin-1")
    return {"header": [line for line in header.splitlines() if not line.startswith("comment")]}


def _of_glb(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    (length,) = struct.unpack("<I", content[12:16])
    return _of_gltf(json.loads(content[20 : 20 + length]))


def _of_text(path: Path) -> dict[str, Any] | None:
    """Digest of a file of numbers; None for any other text."""
    if path.name == "requirements.txt":
        return None
    try:
        return of_array(np.loadtxt(path))
    except ValueError:
        return None


def _of_table(path: Path) -> dict[str, Any]:
    lines = path.read_text("utf-8").splitlines()
    return {"first": words(lines[0]) if lines else "", "lines": len(lines)}


def _of_gltf(record: dict[str, Any]) -> dict[str, Any]:
    shapes = [[accessor["type"], accessor["count"]] for accessor in record.get("accessors", [])]
    return {"keys": sorted(record), "header": [f"element {kind} {n}" for kind, n in shapes]}


def _of_video(path: Path, pixels: str, levels: str) -> dict[str, Any]:
    import av

    with av.open(str(path)) as container:
        frames = [frame.to_ndarray(format=pixels) for frame in container.decode(video=0)]
    return {"frames": len(frames), "last": of_array(frames[-1], levels)}


def _of_weights(path: Path) -> dict[str, Any]:
    from safetensors.numpy import load_file

    weights = load_file(path)
    return {name: of_array(weights[name]) for name in sorted(weights)[:: max(1, len(weights) // 4)]}


_DIGESTS: dict[str, Callable[[Path], Any]] = {
    ".json": lambda path: of_json(json.loads(path.read_text("utf-8"))),
    ".npy": lambda path: of_array(np.load(path)),
    ".npz": _of_npz,
    ".png": _of_picture,
    ".jpg": _of_picture,
    ".webp": _of_picture,
    ".tiff": _of_picture,
    ".ply": _of_ply,
    ".glb": _of_glb,
    ".mp4": lambda path: _of_video(path, "rgb24", "lossy"),
    ".mkv": lambda path: _of_video(path, "gray16le", ""),
    ".safetensors": _of_weights,
    ".txt": _of_text,
    ".csv": _of_table,
    ".md": _of_table,
    ".tex": _of_table,
}
"""Function that makes the digest of a file, by the suffix of the file."""


def words(line: str) -> str:
    """A line without times, sizes of files and differences of floats."""
    return _PASSING_WORDS.sub("#", line.strip())


def name(path: str) -> str:
    """Name of a file without hashes."""
    return _HASH.sub("#", path)


def differences(stored: Any, now: Any, where: str, tolerance: float) -> Iterator[str]:
    """Lines that say what differs."""
    if isinstance(stored, dict) and isinstance(now, dict):
        if "pixels" in stored and "pixels" in now:
            yield from _of_arrays(stored, now, where, tolerance)
            return
        for key in sorted({*stored, *now}):
            if key not in now:
                yield f"{where}: {key} is gone"
            elif key not in stored:
                yield f"{where}: {key} is new"
            else:
                yield from differences(stored[key], now[key], f"{where}: {key}", tolerance)
    elif isinstance(stored, list) and isinstance(now, list) and len(stored) == len(now):
        for one, other in zip(stored, now, strict=True):
            yield from differences(one, other, where, tolerance)
    elif not _alike(stored, now, tolerance):
        yield f"{where}: {_told(now)}, expected {_told(stored)}"


def _told(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) < 300 else f"{text[:300]}..."


def _alike(stored: Any, now: Any, tolerance: float) -> bool:
    if isinstance(stored, str) and isinstance(now, str):
        return _alike_words(stored, now, tolerance)
    if isinstance(stored, int | float) and isinstance(now, int | float):
        return abs(stored - now) <= tolerance * max(abs(stored), 1e-3)
    return stored == now


def _alike_words(stored: str, now: str, tolerance: float) -> bool:
    """Whether lines agree but for the last digit of their decimals, and points of surfaces."""
    if _NUMBER.sub("#", stored) != _NUMBER.sub("#", now):
        return False
    count = stored.startswith("element ")
    for one, other in zip(_NUMBER.findall(stored), _NUMBER.findall(now), strict=True):
        decimals = len(one.partition(".")[2])
        last = 1.01 * 10.0**-decimals if decimals else 0.0
        share = 0.005 if count else 10 * tolerance if decimals else 0.0
        if abs(float(one) - float(other)) > max(last, share * abs(float(one))):
            return False
    return True


def _of_arrays(
    stored: dict[str, Any], now: dict[str, Any], where: str, tolerance: float
) -> Iterator[str]:
    for key in ("shape", "type"):
        if stored[key] != now[key] or len(stored["pixels"]) != len(now["pixels"]):
            yield f"{where}: {key} {now[key]}, expected {stored[key]}"
            return
    floor = LEVELS.get(stored["type"], tolerance * abs(stored["spread"]))
    one = [stored["median"], stored["spread"], *stored["pixels"]]
    other = [now["median"], now["spread"], *now["pixels"]]
    worst, names = 0.0, ["median", "spread", *(f"pixel {k}" for k in range(len(one) - 2))]
    message = ""
    for name, before, after in zip(names, one, other, strict=True):
        if (before is None) != (after is None):
            excess = np.inf
        elif before is None or after is None:
            continue
        else:
            excess = abs(before - after) / max(floor, tolerance * abs(before), 1e-12)
        if excess > max(worst, 1.0):
            worst, message = excess, f"{name} {after}, expected {before}"
    if message:
        yield f"{where}: {message} ({worst:.1f} times the tolerance)"
