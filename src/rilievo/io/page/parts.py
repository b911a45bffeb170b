"""Scripts, style and licence of the surface on a page."""

from pathlib import Path

SURFACE_SCRIPTS = (
    "ogl.js",
    "relief.js",
    "planes.js",
    "faces.js",
    "contour.js",
    "backing.js",
    "viewer.js",
    "steering.js",
    "ruler.js",
    "sheet.js",
    "lines.js",
    "pair.js",
    "page.js",
)
"""Scripts of a page with a surface, in loading order."""

_FOLDER = Path(__file__).parent


def asset(name: str) -> str:
    """Text of a script, style or licence that pages embed."""
    return (_FOLDER / name).read_text("utf-8")
