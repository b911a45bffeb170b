"""Pictures of a sweep: the same few test images as every backbone sees them."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32

from rilievo.depth_map import DepthKind, DepthMap
from rilievo.errors import RilievoError
from rilievo.evaluate.regions import cut_truth, seen
from rilievo.models import load_model
from rilievo.networks.blueprint import Task
from rilievo.pages.pictures import (
    Item,
    Panel,
    answer_panels,
    error_end,
    photo_panel,
    truth_panels,
)
from rilievo.sweep.config import SweepConfig
from rilievo.sweep.results import Cell
from rilievo.sweep.scoring import benchmarks_of, open_test_set
from rilievo.types import Photo, Prediction, Truth

_MOST_MODELS = 8
KAPPA = ", kappa"
"""End of the titles of pictures of certainty."""


def pictures_of(
    config: SweepConfig, cells: tuple[Cell, ...], folder: Path, say: Callable[[str], None]
) -> Mapping[str, list[Item]]:
    """Draw test images, evenly spread, with predictions of every backbone's first seed, by task."""
    drawn: dict[str, list[Item]] = {}
    for task in config.tasks if config.pictures else ():
        chosen = _first_seeds(cells, task)
        if not chosen:
            continue
        try:
            drawn[task] = list(_items(config, task, folder, chosen))
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
    config: SweepConfig, task: Task, folder: Path, chosen: dict[str, Cell]
) -> Iterator[Item]:
    benchmark = benchmarks_of(task, config.test)[0]
    dataset = open_test_set(benchmark, config.test, config.data)
    ids = dataset.ids[: config.test.limit]
    places = np.linspace(0, len(ids) - 1, min(config.pictures, len(ids))).round().astype(int)
    models = {title: load_model(folder / cell.run, device="cpu") for title, cell in chosen.items()}
    for place in dict.fromkeys(map(int, places)):
        image = dataset.image(ids[place])
        window = seen(benchmark.input_crop, image.shape[:2])
        pixels = image[window.top : window.bottom, window.left : window.right]
        photo = Photo(pixels=np.ascontiguousarray(pixels), name=ids[place])
        answers = {title: model.predict([photo])[0] for title, model in models.items()}
        truth = cut_truth(dataset.truth(ids[place]), benchmark.input_crop)
        panels = (photo_panel(photo.pixels), *truth_panels(truth), *_panels(answers, truth))
        yield Item(name=ids[place], label=str(task), value="", numbers=(), panels=panels)


def _panels(answers: Mapping[str, Prediction], truth: Truth) -> Iterator[Panel]:
    """Depth and normals of all models, then kappa in greys that they share."""
    for title, answer in answers.items():
        depth = answer.depth_or_none
        if depth is not None:
            # Probes are trained on metres, and scored so.
            depth = DepthMap(values=depth.values, kind=DepthKind.METRIC)
        yield from answer_panels(title, depth, answer.normals, truth, error_end([]))
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
