"""Selects the images and runs for the pictures of a sweep, and draws them."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from rilievo.errors import RilievoError
from rilievo.evaluate.regions import cut_truth, seen
from rilievo.models import load_model
from rilievo.models.base import Model
from rilievo.networks.blueprint import Task
from rilievo.sweep.config import SweepConfig
from rilievo.sweep.pictures import (
    Scene,
    certainty_sheet,
    depth_sheet,
    normals_sheet,
    write_sheet,
)
from rilievo.sweep.results import Cell
from rilievo.sweep.scoring import benchmarks_of, open_test_set
from rilievo.types import Photo

_MOST_MODELS = 8


def draw_pictures(
    config: SweepConfig, cells: tuple[Cell, ...], folder: Path, say: Callable[[str], None]
) -> tuple[Path, ...]:
    """Draw the same few test images with predictions of every backbone's first seed.

    Raises:
        OutputError: If a file cannot be written.
    """
    written: list[Path] = []
    for task in config.tasks if config.pictures else ():
        chosen = _first_seeds(cells, task)
        if not chosen:
            continue
        try:
            scenes = _scenes(config, task, folder, chosen)
        except RilievoError as error:
            say(f"no pictures of {task}: {error}")
            continue
        sheets = dict(_sheets(task, scenes))
        for name, sheet in sheets.items():
            write_sheet(sheet, folder / f"{name}.png")
            written.append(folder / f"{name}.png")
    return tuple(written)


def _sheets(task: Task, scenes: list[Scene]) -> list[tuple[str, Image.Image]]:
    sheets = []
    if task.has_depth:
        sheets.append((f"pictures-{task}-depth", depth_sheet(scenes)))
    if task.has_normals:
        sheets.append((f"pictures-{task}-normals", normals_sheet(scenes)))
        if any(each.confidence is not None for each in scenes[0].answers.values()):
            sheets.append((f"pictures-{task}-kappa", certainty_sheet(scenes)))
    return sheets


def _first_seeds(cells: tuple[Cell, ...], task: Task) -> dict[str, Cell]:
    """First run of each backbone and probe, by title; runs of single layers are left out."""
    chosen: dict[str, Cell] = {}
    several = len({cell.probe for cell in cells}) > 1
    for cell in cells:
        if cell.task == task and not cell.alone:
            chosen.setdefault(f"{cell.title}, {cell.probe}" if several else cell.title, cell)
    return dict(list(chosen.items())[:_MOST_MODELS])


def _scenes(config: SweepConfig, task: Task, folder: Path, chosen: dict[str, Cell]) -> list[Scene]:
    """Predict images that are evenly spread over the test set."""
    benchmark = benchmarks_of(task, config.test)[0]
    dataset = open_test_set(benchmark, config.test, config.data)
    ids = dataset.ids[: config.test.limit]
    places = np.linspace(0, len(ids) - 1, min(config.pictures, len(ids))).round().astype(int)
    models: dict[str, Model] = {
        title: load_model(folder / cell.run, device="cpu") for title, cell in chosen.items()
    }
    scenes = []
    for place in dict.fromkeys(map(int, places)):
        image = dataset.image(ids[place])
        window = seen(benchmark.input_crop, image.shape[:2])
        pixels = image[window.top : window.bottom, window.left : window.right]
        photo = Photo(pixels=np.ascontiguousarray(pixels), name=ids[place])
        answers = {title: model.predict([photo])[0] for title, model in models.items()}
        truth = cut_truth(dataset.truth(ids[place]), benchmark.input_crop)
        scenes.append(Scene(photo=photo.pixels, truth=truth, answers=answers))
    return scenes
