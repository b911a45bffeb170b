"""``rilievo verify``: compare files with what rilievo recorded when it wrote them."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated

from rilievo.cli.parsing import parse
from rilievo.cli.streams import printing, say
from rilievo.errors.messages import for_terminal, note_about
from rilievo.io.files.names import printable
from rilievo.io.verification import verify
from rilievo.schema.fields import option


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    paths: Annotated[tuple[Path, ...], option(positional=True, metavar="RESULTS")]
    """Folders of results, runs, evaluations or models, or files in them."""
    json: bool = False
    """Print the findings as JSON."""


def main(arguments: Sequence[str]) -> int:
    """Compare files with their recorded checksums; return 1 if one has changed, else 0."""
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo verify",
        description="Check that files still have the size and SHA-256 that were recorded for them.",
        examples=("rilievo verify results", "rilievo verify run --json"),
    )
    report = verify(request.paths)
    with printing():
        if request.json:
            print(json.dumps(asdict(report), indent=1))
            return 0 if report.is_whole else 1
        for fault in report.faults:
            say(for_terminal(note_about(printable(fault.file), fault.what)))
        unchanged, changed = report.whole, len(report.faults)
        unchanged_text = "1 file is" if unchanged == 1 else f"{unchanged} files are"
        say(f"{unchanged_text} unchanged, {changed} {'is' if changed == 1 else 'are'} not")
    return 0 if report.is_whole else 1
