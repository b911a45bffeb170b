"""Rules of single options and of pairs, as data for ``PredictOptions``."""

import math
from collections.abc import Mapping
from pathlib import Path

from rilievo.io.writing import MOST_BACKING
from rilievo.models.model_options import Rule

# Groups of options in the help.
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Output": (
        "output",
        "save",
        "overwrite",
        "resume",
        "colour_map",
        "colour_range",
        "surface_points",
        "edge",
        "drop",
        "backing",
        "stereo",
    ),
    "Model": ("quality", "model", "kind", "settings", "yes", "trust_code"),
    "Camera and metres": (
        "camera",
        "fov",
        "vanishing_points",
        "known",
        "known_length",
        "sparse",
        "sparse_unit",
        "camera_height",
        "markers",
        "same_camera",
        "own_depth",
    ),
    "Detail": ("flip", "confidence", "tile", "sharp", "trim"),
    "Speed": ("device", "engine", "precision", "threads", "batch_size"),
    "Video": ("sequence", "fps", "independent"),
}
# Types that are checked early: other types from Python callers would fail late and elsewhere.
TYPES: tuple[tuple[str, type | tuple[type, ...], str], ...] = (
    ("output", (str, Path), "a path"),
    ("model", str, "a name in MODELS or the path of an ONNX file as text"),
    ("save", str, "text such as 'colour,ply'"),
    ("known", (tuple, list), "a tuple of texts 'u,v,metres'"),
    ("known_length", (tuple, list), "a tuple of texts 'u1,v1,u2,v2,metres'"),
    ("settings", (tuple, list), "a tuple of texts 'name=value'"),
)
EXCLUSIVE = (
    ("camera", "fov"),
    ("known", "camera_height"),
    ("known_length", "camera_height"),
    ("sparse", "camera_height"),
    ("markers", "camera_height"),
    ("markers", "sparse"),
    ("sparse", "known"),
    ("sparse", "known_length"),
    ("resume", "overwrite"),
)
RULES: tuple[Rule, ...] = (
    ("resume", lambda value: value in (False, True, "hash"), "True, False or 'hash'"),
    ("fov", lambda value: 0 < value < 180, "between 0 and 180 degrees"),
    ("camera_height", lambda value: 0 < value < math.inf, "a positive number of metres"),
    ("markers", lambda value: 0 < value < 10, "the side in metres, below 10 (0.06 for 60 mm)"),
    ("sparse_unit", lambda value: 0 < value < math.inf, "a positive number of metres"),
    ("tile", lambda value: value >= 64, "64 pixels or more"),
    ("batch_size", lambda value: value >= 1, "1 or more"),
    ("surface_points", lambda value: value >= 100, "100 or more"),
    ("edge", lambda value: 0 < value < math.inf, "a positive number"),
    ("backing", lambda value: 0 <= value <= MOST_BACKING, f"between 0 and {MOST_BACKING}"),
    ("fps", lambda value: 0 < value <= 1000, "between 0 and 1000"),
)
