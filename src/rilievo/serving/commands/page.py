"""The command ``rilievo page``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rilievo.cli.parsing import parse
from rilievo.cli.streams import printing, say
from rilievo.io.files.names import printable
from rilievo.schema.fields import option
from rilievo.serving.browser.folder import write_page


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    output: Annotated[Path, option(aliases=("-o",), metavar="FOLDER")] = Path("site")
    """The folder to write; an older page there is replaced."""
    models: Annotated[tuple[str, ...], option(name="with", metavar="MODEL")] = ()
    """Further models that visitors can choose: ONNX files that say what they are, as 'rilievo
    export' writes them, or names such as rilievo/base, zipdepth or moge-2/small."""


def main(arguments: Sequence[str]) -> int:
    """Run ``rilievo page``: write the folder and print what it holds."""
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo page",
        description="A folder for any static host: photograph in, depth and surface out, all in "
        "the visitor's browser.",
        examples=(
            "rilievo page -o site",
            "rilievo page -o site --with zipdepth",
            "rilievo page -o site --with rilievo/base own.onnx",
        ),
    )
    written = write_page(request.output, request.models)
    folder = printable(written.folder)
    with printing():
        for name, licence in written.models.items():
            say(f"{name} ({licence})")
        say(
            f"{folder}: {written.bytes / 1e6:.1f} MB; to look at it here: "
            f"python -m http.server --directory {folder} --bind 127.0.0.1 8000"
        )
    return 0
