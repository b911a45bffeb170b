"""``rilievo markers``: write a page of markers to print."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rilievo.cli.parsing import parse
from rilievo.cli.streams import printing, say
from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.io.files.names import printable
from rilievo.predicting.metres.printed_markers import write_marker_page
from rilievo.schema.fields import option


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    page: Annotated[Path, option(positional=True, metavar="PAGE.pdf|PAGE.png")]
    """File to write."""
    side: Annotated[float, option(metavar="METRES")] = 0.06
    """Side length of the black squares in metres."""
    paper: Annotated[str, option(metavar="a4|letter")] = "a4"
    """Paper size."""
    first: Annotated[int, option(metavar="N")] = 0
    """Number of the first marker. Change it to print several different pages."""
    overwrite: bool = False
    """Replace an existing file."""


def main(arguments: Sequence[str]) -> int:
    """Write a page of markers; return the exit code."""
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo markers",
        description="Write a page of AprilTags to print. Photographs that show the page can be "
        "predicted in metres.",
        examples=("rilievo markers page.pdf", "rilievo markers page.png --side 0.08"),
    )
    if request.page.exists() and not request.overwrite:
        raise OptionError(
            "already exists",
            path=request.page,
            hint=Text("use ", OptionName("overwrite"), " to replace it"),
        )
    page = write_marker_page(
        request.page, side=request.side, paper=request.paper, first=request.first
    )
    with printing():
        say(
            f"{printable(request.page)}: shows the markers {page.ids[0]} to {page.ids[-1]}; "
            f"print the page at 100%, and predict photographs of it with --markers {page.side:g}"
        )
    return 0
