"""Sweep of probes, and its table."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rilievo.errors import InputError, needing
from rilievo.errors.messages import Text
from rilievo.extensions.subpackages import load_service
from rilievo.extensions.trust import trust
from rilievo.io.files.atomic import make_folder
from rilievo.pages.tables import Table
from rilievo.predicting.work_processes import Failure
from rilievo.training.sweep.sweep_config import SweepOptions, read_sweep
from rilievo.training.sweep.sweep_results import CELLS, SweepCell

FILES = ("table.md", "table.csv", "table.tex", "page.html")


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """Results of a sweep; ``table`` has means over seeds."""

    folder: Path
    cells: tuple[SweepCell, ...]
    failures: tuple[Failure, ...]
    table: Table


def sweep_probes(file: Path, options: SweepOptions | None = None, *, show: bool = True) -> Swept:
    """Train and score every cell of a sweep; write its table.

    A cell that fails is reported and skipped; a stopped sweep is resumed.

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
    with needing("a sweep of probes", "train"):
        from rilievo.training.sweep.sweep_work import run_cells
    # Before the first cell is trained, as the comparison comes last.
    with needing("a sweep of probes", "evaluate"):
        import scipy  # noqa: F401
    options = options or SweepOptions()
    trust(options.trust_code)
    config = read_sweep(file)
    folder = options.output or Path("runs") / file.stem
    make_folder(folder / CELLS)
    cells, failures = run_cells(config, folder, options, show=show)
    if not cells:
        first = failures[0]
        raise InputError(
            f"{file}: none of its cells could be done; the first, {first.name}:",
            problem=Text(first.reason),
        )
    compared: Any = load_service("probe-comparison")(
        config.title,
        cells,
        config.data.dataset,
        config.test.split or "usual split",
        notes=[f"Skipped: {failure.name}: {failure.reason}" for failure in failures],
    )
    for name in FILES:
        compared.write(folder / name)
    return Swept(folder=folder, cells=cells, failures=failures, table=compared.table)
