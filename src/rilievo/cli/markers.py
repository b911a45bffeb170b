"""``rilievo markers``: write a page of markers to print."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rilievo.calibration.printed_markers import write_marker_page
from rilievo.cli.parsing import parse
from rilievo.cli.streams import printing, say
from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.io.files.names import printable
from rilievo.schema.fields import option


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    page: Annotated[Path, option(positional=True, metavar="PAGE.pdf|PAGE.png")]
    """File to write."""
    side: Annotated[float, option(metavar="METRES")] = 0.06
    """Side of the black squares in metres."""
    paper: Annotated[str, option(metavar="a4|letter")] = "a4"
    """Size of the sheet."""
    first: Annotated[int, option(metavar="N")] = 0
    """Number of the first marker, for several different pages."""
    overwrite: bool = False
    """Replace an existing file."""


def main(arguments: Sequence[str]) -> int:
    """Write a page of markers; return the exit code."""
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo markers",
        description="A page of AprilTags to print, for metres in photographs that show it.",
        examples=(
            "rilievo markers page.pdf",
            "rilievo markers page.png --side 0.08",
        ),
    )
    if request.page.exists() and not request.overwrite:
        raise OptionError(
            "is there already", path=request.page, hint=Text("give ", OptionName("overwrite"))
        )
    page = write_marker_page(
        request.page, side=request.side, paper=request.paper, first=request.first
    )
    with printing():
        say(
            f"{printable(request.page)}: markers {page.ids[0]} to {page.ids[-1]}; print at 100 % "
            f"and predict with --markers {page.side:g}"
        )
    return 0
