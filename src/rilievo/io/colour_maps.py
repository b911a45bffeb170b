"""Colour maps that all of rilievo uses."""

from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from rilievo.errors import OptionError, suggest

DEPTH_COLOURS = "viridis"
"""Colour map of depth; yellow is near, violet is far."""
SIGNED_COLOURS = "spectral"
"""Colour map of signed errors; the middle is zero."""
ANGLE_COLOURS = "magma"
"""Colour map of angles between normals; black is zero."""

# Rows of colour_maps.png. viridis, magma, inferno and plasma: Smith and van der Walt, CC0. turbo:
# Mikhailov, Google, Apache-2.0. spectral: Brewer's ColorBrewer "Spectral", Apache-2.0, blue first.
# The last is a ramp from black to white.
COLOUR_MAPS = ("viridis", "magma", "inferno", "plasma", "turbo", "spectral", "grey")


def check_colour_map(name: str) -> str:
    """Check that a colour map exists, and return its name.

    Raises:
        OptionError: If there is no such colour map.
    """
    if name not in COLOUR_MAPS:
        raise OptionError(f"no colour map '{name}'; {suggest(name, COLOUR_MAPS)}")
    return name


def invalid_colour(colour_map: str) -> tuple[int, int, int]:
    """RGB colour of invalid pixels, which the colour map does not contain."""
    return (160, 32, 32) if colour_map == "grey" else (128, 128, 128)


@cache
def colour_table(name: str) -> UInt8[np.ndarray, "256 3"]:
    """RGB of a colour map, from the first colour to the last."""
    with Image.open(Path(__file__).with_name("colour_maps.png"), formats=["PNG"]) as image:
        return np.asarray(image)[COLOUR_MAPS.index(name)]
