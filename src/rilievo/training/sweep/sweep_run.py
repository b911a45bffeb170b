"""``sweep_probes``, which trains and compares many probes."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rilievo.errors import InputError, explain_missing_extra
from rilievo.errors.messages import Text
from rilievo.extensions.subpackages import load_service
from rilievo.extensions.trust import trust
from rilievo.io.files.atomic import make_folder
from rilievo.pages.tables import Table
from rilievo.predicting.work_processes import Failure
from rilievo.training.sweep.sweep_cell import CELLS_FOLDER, SweepCell
from rilievo.training.sweep.sweep_config import SweepOptions, read_sweep

_TABLE_FILES = ("table.md", "table.csv", "table.tex", "page.html")


@dataclass(frozen=True, slots=True, kw_only=True)
class SweepResult:
    """Results of a sweep.

    Attributes:
        failures: Cells and backbones that failed, and why.
        table: Comparison of the probes; a row is the mean over the seeds of one probe.
    """

    folder: Path
    cells: tuple[SweepCell, ...]
    failures: tuple[Failure, ...]
    table: Table


def sweep_probes(
    file: Path, options: SweepOptions | None = None, *, show: bool = True
) -> SweepResult:
    """Train and score every cell of a sweep, and write a table that compares them.

    A cell is one backbone with one probe, task and seed. A cell that fails is reported and skipped,
    and a stopped sweep is resumed.

    Examples:
        >>> options = rilievo.SweepOptions(output="sweep", device="cpu")
        >>> len(rilievo.sweep_probes(Path("sweep.toml"), options, show=False).cells)
        1

    Raises:
        InputError: If the file or the data cannot be used, or every cell failed.
        MissingExtraError: If torch or another package of training is not installed, or scipy.
        OptionError: If an option is invalid.
        OutputError: If the folder cannot be written.
    """
    # torch is imported here, so that the core can import this module without it.
    with explain_missing_extra("a sweep of probes", "train"):
        from rilievo.training.sweep.sweep_work import run_cells
    # Only the comparison at the end needs scipy, but a missing one is reported before any training.
    with explain_missing_extra("a sweep of probes", "evaluate"):
        import scipy  # noqa: F401
    options = options or SweepOptions()
    trust(options.trust_code)
    config = read_sweep(file)
    folder = options.output or Path("runs") / file.stem
    make_folder(folder / CELLS_FOLDER)

    results = run_cells(config, folder, options, show=show)
    if not results.cells:
        first_failure = results.failures[0]
        raise InputError(
            f"{file}: all cells of the sweep failed; the first one was {first_failure.name}:",
            problem=Text(first_failure.reason),
        )
    comparison: Any = load_service("probe-comparison")(
        config.title,
        results.cells,
        config.data.dataset,
        config.test.split or "default split",
        notes=[f"Skipped: {failure.name}: {failure.reason}" for failure in results.failures],
    )
    for name in _TABLE_FILES:
        comparison.write(folder / name)
    return SweepResult(
        folder=folder, cells=results.cells, failures=results.failures, table=comparison.table
    )
