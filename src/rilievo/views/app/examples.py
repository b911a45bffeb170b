"""Example photographs inside the package."""

import secrets
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """An example photograph.

    Attributes:
        name: Name of its file, without suffix.
        title: Label of its button.
    """

    name: str
    title: str

    def uploaded_to(self, uploads: Path) -> Path:
        """Copy it to the uploads, from where it is deleted like them."""
        folder = uploads / secrets.token_hex(16)
        folder.mkdir(mode=0o700)
        path = folder / f"{self.name}.jpg"
        path.write_bytes(
            files("rilievo.views.app").joinpath("pictures_to_try", path.name).read_bytes()
        )
        return path


EXAMPLES = (
    Example(name="coffee", title="A cup (photograph)"),
    Example(name="room", title="A room (rendered)"),
)
"""The cup is a photograph by Rachel Michetti for Pikolo Espresso Bar, CC0. The room is seed 47 of
``scenes`` (rooms, 480 x 640), with its focal length in EXIF."""

EXAMPLES_HINT = (
    "No photograph at hand? Take an example. In the room, the bottle stands 1.73 m from the camera."
)
"""Hint with the true distance at column 215, row 270, for trying a known distance."""
