"""``rilievo probe``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import tyro

from rilievo.cli.parsing import parse
from rilievo.cli.streams import printing
from rilievo.io.files.limits import printable
from rilievo.training.sweep.sweep_config import SweepOptions


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    file: Annotated[Path, tyro.conf.Positional, tyro.conf.arg(metavar="FILE.toml")]
    """Sweep to run: backbones, tasks, seeds, probes, data; docs/probes.md describes the format."""
    options: Annotated[SweepOptions, tyro.conf.arg(name="")]


def main(arguments: Sequence[str]) -> int:
    """Train and score probes on many backbones; returns 1 when some cells were skipped."""
    given = parse(
        _Arguments,
        arguments,
        prog="rilievo probe",
        description="Train and compare probes of depth and normals on many backbones.",
        examples=("rilievo probe sweep.toml",),
    )
    from rilievo.pages.tables import markdown
    from rilievo.training.sweep.sweep_run import sweep_probes
    from rilievo.training.sweep.sweep_writing import shown_table

    swept = sweep_probes(given.file, given.options)
    with printing():
        print(markdown(shown_table(swept.table)))
        for cell in swept.cells:
            for doubt in cell.doubts:
                print(f"warning: {printable(Path(cell.run).name)}: {doubt}")
        for each in swept.failures:
            print(f"passed over: {each.name}: {each.reason}")
        print(f"{len(swept.cells)} cells; tables, plots and pictures in {swept.folder}")
    return 1 if swept.failures else 0
