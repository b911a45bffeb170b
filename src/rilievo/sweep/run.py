"""``rilievo.sweep_probes``: a sweep from its file, cell by cell, and what is made of the cells."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError, needing
from rilievo.evaluate.benchmarks import BENCHMARKS
from rilievo.io.atomic import make_folder, remove, replacing
from rilievo.io.checksums import CHECKSUMS, write_checksums
from rilievo.io.json_record import to_json
from rilievo.io.limits import printable
from rilievo.sweep.cells import CELLS
from rilievo.sweep.config import SweepConfig
from rilievo.sweep.file import read_sweep
from rilievo.sweep.options import SweepOptions
from rilievo.sweep.plots import draw_plots
from rilievo.sweep.results import Cell, Failure
from rilievo.sweep.show import draw_pictures
from rilievo.sweep.table import Table, make_table
from rilievo.sweep.writing import comma_separated, latex, markdown

SWEEP = "sweep.json"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What came of a sweep.

    Attributes:
        folder: Where everything lies.
        cells: Done, now or before.
        failures: Cells that came to nothing.
        table: Of the cells.
        files: Tables, plots and pictures.
    """

    folder: Path
    cells: tuple[Cell, ...]
    failures: tuple[Failure, ...]
    table: Table
    files: tuple[Path, ...]


def sweep_probes(file: Path, options: SweepOptions | None = None, *, show: bool = True) -> Swept:
    """Train and score every cell of a sweep; write its table, plots and pictures.

    A cell that fails is said and passed over. A sweep that was stopped goes on where it was.

    Args:
        file: The sweep's file, TOML or YAML.
        options: How it is done.
        show: Whether to say on standard error what is going on.

    Raises:
        InputError: If the file, or the data, cannot be used, or no cell could be done.
        MissingExtraError: If torch or another package of training is not installed.
        OptionError: If an option cannot be.
        OutputError: If the folder cannot be written.
    """
    # torch is imported at the call: the core can then look at the package, and say what is missing.
    with needing("a sweep of probes", "probe"):
        import torch

        from rilievo.sweep.work import Work
    options = options or SweepOptions()
    config = read_sweep(file)
    folder = options.output or Path("runs") / file.stem
    say: Say = _say if show else _keep_silent
    make_folder(folder / CELLS)
    with replacing(folder / SWEEP) as part:
        part.write_text(to_json(config, indent=2), encoding="utf-8")
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    work = Work(config, folder, options, say, show=show)
    cells, failures = work.do()
    if not cells:
        raise InputError(
            f"{printable(file)}: none of its cells could be done; the first, "
            f"{failures[0].name}: {failures[0].reason}"
        )
    return _written(config, folder, cells, failures, say)


def _written(
    config: SweepConfig,
    folder: Path,
    cells: tuple[Cell, ...],
    failures: tuple[Failure, ...],
    say: Say,
) -> Swept:
    """Tables, plots and pictures of what is done."""
    table = make_table(config.title, cells, BENCHMARKS.values())
    files: list[Path] = []
    remove(folder / CHECKSUMS)  # of what is replaced now
    for name, text in (
        ("table.md", markdown(table) + _failed(failures)),
        ("table.csv", comma_separated(table)),
        ("table.tex", latex(table)),
    ):
        with replacing(folder / name) as part:
            part.write_text(text, encoding="utf-8")
        files.append(folder / name)
    files += draw_plots(table, folder)
    files += draw_pictures(config, cells, folder, say)
    write_checksums(folder, (path.relative_to(folder).as_posix() for path in files))
    return Swept(folder=folder, cells=cells, failures=failures, table=table, files=tuple(files))


def _failed(failures: tuple[Failure, ...]) -> str:
    lines = [f"- {each.name}: {each.reason}" for each in failures]
    return "\n".join(["\nPassed over:\n", *lines, ""]) if lines else ""


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def _keep_silent(text: str) -> None:
    del text
