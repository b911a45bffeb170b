"""``rilievo.sweep_probes``: runs a sweep cell by cell, then writes tables, figures and a page."""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rilievo.errors import InputError, needing
from rilievo.evaluate.benchmarks import BENCHMARKS
from rilievo.io.atomic import make_folder, remove, replacing
from rilievo.io.checksums import CHECKSUMS, write_checksums
from rilievo.io.json_record import to_json
from rilievo.pages.document import write_page
from rilievo.pages.figure import write_figure
from rilievo.sweep.cells import CELLS
from rilievo.sweep.config import SweepConfig
from rilievo.sweep.file import read_sweep
from rilievo.sweep.options import SweepOptions
from rilievo.sweep.plots import plots_of
from rilievo.sweep.results import Cell, Failure
from rilievo.sweep.show import figures_of, pictures_of
from rilievo.sweep.table import Table, make_table
from rilievo.sweep.writing import (
    cells_of,
    comma_separated,
    heads_of,
    latex,
    markdown,
    notes_of,
)

SWEEP, PAGE = "sweep.json", "page.html"
Say = Callable[[str], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """Results of a sweep.

    Attributes:
        folder: Folder of the sweep.
        cells: Finished cells, of this run or earlier ones.
        failures: Cells that failed.
        table: Table of the cells.
        files: Written tables, plots, figures and the page.
    """

    folder: Path
    cells: tuple[Cell, ...]
    failures: tuple[Failure, ...]
    table: Table
    files: tuple[Path, ...]


def sweep_probes(file: Path, options: SweepOptions | None = None, *, show: bool = True) -> Swept:
    """Train and score every cell of a sweep; write its tables, figures and page.

    A cell that fails is reported and skipped. A sweep that was stopped is resumed.

    Args:
        file: File of the sweep, TOML or YAML.
        options: Options for running it.
        show: Whether to show progress on standard error.

    Raises:
        InputError: If the file or the data cannot be used, or every cell failed.
        MissingExtraError: If torch or another package of training is not installed.
        OptionError: If an option is invalid.
        OutputError: If the folder cannot be written.
    """
    # torch is imported here, so that the core can import this module without it.
    with needing("a sweep of probes", "train"):
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
            f"{file}: none of its cells could be done; the first, {failures[0].name}: "
            f"{failures[0].reason}"
        )
    return _written(config, folder, cells, failures, say)


def _written(
    config: SweepConfig,
    folder: Path,
    cells: tuple[Cell, ...],
    failures: tuple[Failure, ...],
    say: Say,
) -> Swept:
    """Write tables, plots, figures and the page of the finished cells."""
    table = make_table(config.title, cells, BENCHMARKS.values())
    files: list[Path] = []
    remove(folder / CHECKSUMS)  # outdated, since the files are replaced now
    for name, text in (
        ("table.md", markdown(table) + _doubted(cells) + _failed(failures)),
        ("table.csv", comma_separated(table)),
        ("table.tex", latex(table)),
    ):
        with replacing(folder / name) as part:
            part.write_text(text, encoding="utf-8")
        files.append(folder / name)
    plots = plots_of(table)
    for name, plot in plots.items():
        with replacing(folder / f"{name}.svg") as part:
            part.write_text(plot.file, encoding="utf-8")
        files.append(folder / f"{name}.svg")
    pictures = pictures_of(config, cells, folder, say)
    for task, items in pictures.items():
        for name, rows in figures_of(items):
            files.append(folder / f"pictures-{task}-{name}.pdf")
            write_figure(rows, files[-1])
    files.append(folder / PAGE)
    write_page(
        files[-1],
        "sweep.html",
        title=table.title,
        runs=len(cells),
        plots=plots.values(),
        pictures=pictures,
        heads=heads_of(table),
        rows=[cells_of(row, table.columns) for row in table.rows],
        notes=notes_of(table),
        doubts=[f"{Path(cell.run).name}: {each}" for cell in cells for each in cell.doubts],
        failures=[f"{each.name}: {each.reason}" for each in failures],
    )
    write_checksums(folder, (path.relative_to(folder).as_posix() for path in files))
    return Swept(folder=folder, cells=cells, failures=failures, table=table, files=tuple(files))


def _doubted(cells: tuple[Cell, ...]) -> str:
    lines = [f"- {Path(cell.run).name}: {each}" for cell in cells for each in cell.doubts]
    return "\n".join(["\nNothing learned:\n", *lines, ""]) if lines else ""


def _failed(failures: tuple[Failure, ...]) -> str:
    lines = [f"- {each.name}: {each.reason}" for each in failures]
    return "\n".join(["\nPassed over:\n", *lines, ""]) if lines else ""


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201


def _keep_silent(text: str) -> None:
    del text
