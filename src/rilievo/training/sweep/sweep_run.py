"""``rilievo.sweep_probes``: runs a sweep cell by cell, then writes tables, figures and a page."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from rilievo.depth_map import DepthKind, DepthMap
from rilievo.errors import InputError, RilievoError, needing
from rilievo.io.checks.checksums import CHECKSUMS, write_checksums
from rilievo.io.files.atomic import make_folder, remove, replacing
from rilievo.io.json_record import to_json
from rilievo.models import load_model
from rilievo.pages.document import write_page
from rilievo.pages.figure import write_figure
from rilievo.pages.pictures import (
    Answer,
    Item,
    Panel,
    compared_panels,
    error_end,
    photo_panel,
)
from rilievo.pages.tables import comma_separated, latex, markdown
from rilievo.plugins import trust
from rilievo.predicting.workers.work_protocol import Failure
from rilievo.prediction import Prediction
from rilievo.training.engine.progress import say as print_line
from rilievo.training.networks.blueprint import Task
from rilievo.training.sweep.sweep_config import SweepConfig, SweepOptions, read_sweep
from rilievo.training.sweep.sweep_results import CELLS, Cell
from rilievo.training.sweep.sweep_scoring import Scoring, open_scoring
from rilievo.training.sweep.sweep_table import Table, make_table
from rilievo.training.sweep.sweep_writing import (
    full_table,
    plots_of,
    shown_table,
)
from rilievo.types import Truth

SWEEP, PAGE = "sweep.json", "page.html"
Say = Callable[[str], None]
_MOST_MODELS = 8
KAPPA = ", kappa"
"""End of the titles of pictures of certainty."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """Results of a sweep.

    Attributes:
        cells: Finished cells, of this run or earlier ones.
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
        file: File of the sweep, TOML.
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

        from rilievo.training.sweep.sweep_work import Work
    options = options or SweepOptions()
    trust(options.trust_code)
    config = read_sweep(file)
    folder = options.output or Path("runs") / file.stem
    say: Say = print_line if show else lambda text: None
    make_folder(folder / CELLS)
    with replacing(folder / SWEEP) as part:
        part.write_text(to_json(config, indent=2), encoding="utf-8")
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    scoring = open_scoring(config.test, config.data)
    work = Work(config, folder, options, scoring, say, show=show)
    cells, failures = work.do()
    if not cells:
        raise InputError(
            f"{file}: none of its cells could be done; the first, {failures[0].name}: "
            f"{failures[0].reason}"
        )
    return _written(config, folder, cells, failures, scoring, say)


def _written(
    config: SweepConfig,
    folder: Path,
    cells: tuple[Cell, ...],
    failures: tuple[Failure, ...],
    scoring: Scoring,
    say: Say,
) -> Swept:
    """Write tables, plots, figures and the page of the finished cells."""
    sha256s = {each.sha256 for cell in cells for each in cell.measured}
    table = make_table(config.title, cells, scoring.published(sha256s))
    doubts = [f"{Path(cell.run).name}: {each}" for cell in cells for each in cell.doubts]
    failed = [f"{each.name}: {each.reason}" for each in failures]
    files: list[Path] = []
    made = shown_table(table)
    remove(folder / CHECKSUMS)  # outdated, since the files are replaced now
    for name, text in (
        (
            "table.md",
            markdown(made) + _listed("Nothing learned", doubts) + _listed("Passed over", failed),
        ),
        ("table.csv", comma_separated(full_table(table))),
        ("table.tex", latex(made)),
    ):
        with replacing(folder / name) as part:
            part.write_text(text, encoding="utf-8")
        files.append(folder / name)
    plots = plots_of(table)
    for name, plot in plots.items():
        with replacing(folder / f"{name}.svg") as part:
            part.write_text(plot.file, encoding="utf-8")
        files.append(folder / f"{name}.svg")
    pictures = pictures_of(config, cells, folder, scoring, say)
    for task, items in pictures.items():
        for name, rows in figures_of(items):
            files.append(folder / f"pictures-{task}-{name}.pdf")
            write_figure(rows, files[-1])
    files.append(folder / PAGE)
    write_page(
        files[-1],
        "sweep.html",
        made=made,
        runs=len(cells),
        plots=plots.values(),
        pictures=pictures,
        doubts=doubts,
        failures=failed,
    )
    write_checksums(folder, (path.relative_to(folder).as_posix() for path in files))
    return Swept(folder=folder, cells=cells, failures=failures, table=table, files=tuple(files))


def _listed(title: str, lines: Sequence[str]) -> str:
    return "\n".join([f"\n{title}:\n", *(f"- {each}" for each in lines), ""]) if lines else ""


def pictures_of(
    config: SweepConfig, cells: tuple[Cell, ...], folder: Path, scoring: Scoring, say: Say
) -> Mapping[str, list[Item]]:
    """Draw test images, evenly spread, with predictions of every backbone's first seed, by task."""
    drawn: dict[str, list[Item]] = {}
    for task in config.tasks if config.pictures else ():
        chosen = _first_seeds(cells, task)
        if not chosen:
            continue
        try:
            drawn[task] = list(_items(config, task, folder, chosen, scoring))
        except RilievoError as error:
            say(f"no pictures of {task}: {error}")
    return drawn


def figures_of(items: Sequence[Item]) -> Iterator[tuple[str, list[list[Panel]]]]:
    """Rows of figures: depth, normals and kappa, each where some picture is of it."""
    parts = {
        "depth": lambda panel: (
            panel.legend is not None and panel.legend.ramp in ("depth", "signed")
        ),
        "normals": lambda panel: "normals" in panel.title,
        "kappa": lambda panel: panel.title.endswith(KAPPA),
    }
    for name, belongs in parts.items():
        rows = [[panel for panel in item.panels if belongs(panel)] for item in items]
        if all(rows):
            yield name, [[item.panels[0], *row] for item, row in zip(items, rows, strict=True)]


def _first_seeds(cells: tuple[Cell, ...], task: Task) -> dict[str, Cell]:
    """First run of each backbone and probe, by title; runs of single layers are left out."""
    chosen: dict[str, Cell] = {}
    several = len({cell.probe for cell in cells}) > 1
    for cell in cells:
        if cell.task == task and not cell.alone:
            chosen.setdefault(f"{cell.title}, {cell.probe}" if several else cell.title, cell)
    return dict(list(chosen.items())[:_MOST_MODELS])


def _items(
    config: SweepConfig, task: Task, folder: Path, chosen: dict[str, Cell], scoring: Scoring
) -> Iterator[Item]:
    models = {title: load_model(folder / cell.run, device="cpu") for title, cell in chosen.items()}
    examples = scoring.examples(config.pictures, depth=task.has_depth, normals=task.has_normals)
    for each in examples:
        answers = {title: model.predict_raw([each.photo])[0] for title, model in models.items()}
        panels = (photo_panel(each.photo.pixels), *_panels(answers, each.truth))
        yield Item(name=each.photo.name, label=str(task), value="", numbers=(), panels=panels)


def _in_metres(answer: Prediction) -> Answer:
    """Depth and normals of a probe, which is trained on metres and scored so."""
    depth = answer.depth_or_none
    metres = None if depth is None else DepthMap(values=depth.values, kind=DepthKind.METRIC)
    return Answer(depth=metres, normals=answer.normals)


def _panels(answers: Mapping[str, Prediction], truth: Truth) -> Iterator[Panel]:
    """Truth, depth and normals of all models, then kappa in greys that they share."""
    given = {title: _in_metres(answer) for title, answer in answers.items()}
    yield from compared_panels(truth, given, error_end([]))
    kappas = {
        title: kappa_of(answer.confidence)
        for title, answer in answers.items()
        if answer.confidence is not None and answer.normals is not None
    }
    if not kappas:
        return
    low, high = np.percentile(np.log(np.concatenate([*map(np.ravel, kappas.values())])), [2, 98])
    for title, kappa in kappas.items():
        level = (np.log(kappa) - low) / max(high - low, 1e-6)
        grey = (255 * np.clip(level, 0, 1)).astype(np.uint8)
        yield photo_panel(np.repeat(grey[..., None], 3, axis=2), f"{title}{KAPPA}")


def kappa_of(confidence: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Convert a probe's confidence kappa / (1 + kappa) back to kappa."""
    inside = np.clip(confidence, 1e-6, 1 - 1e-6)
    return (inside / (1 - inside)).astype(np.float32)
