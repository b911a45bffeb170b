"""``rilievo probe``, with the subcommand ``correspondence``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from rilievo.cli.parsing import parse
from rilievo.cli.streams import printing, say
from rilievo.errors.messages import count_text
from rilievo.extensions.subpackages import resolve_name
from rilievo.schema.fields import option
from rilievo.training.sweep.sweep_config import SweepOptions

_CORRESPONDENCE = "correspondence"
"""Subcommand that scores matches between views; any other word is the file of a sweep."""


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    file: Annotated[Path, option(positional=True, metavar="FILE.toml")]
    """TOML file with the backbones, tasks, seeds, probes and data of a sweep; docs/probes.md
    describes the format.
    """
    options: Annotated[SweepOptions, option(inline=True)]


def main(arguments: Sequence[str]) -> int:
    """Train and score probes on many backbones; return 1 if a cell was skipped, else 0."""
    if arguments[:1] == [_CORRESPONDENCE]:
        main_of_subcommand = resolve_name("rilievo.training.commands.probe_correspondence:main")
        return main_of_subcommand(arguments[1:])
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo probe",
        description="Train and compare probes for depth and normals on many backbones. To match "
        "features of backbones between two views, without training, use 'rilievo probe "
        "correspondence', which has its own --help.",
        examples=(
            "rilievo probe sweep.toml",
            "rilievo probe correspondence -b timm/vit_base_patch14_dinov2 --root navi/",
        ),
    )
    from rilievo.training.commands.printed_tables import print_table
    from rilievo.training.sweep.sweep_run import sweep_probes

    result = sweep_probes(request.file, request.options)
    print_table(result.table)
    with printing():
        say(f"{count_text(len(result.cells), 'cell')}; the table is in {result.folder}")
    return 1 if result.failures else 0
