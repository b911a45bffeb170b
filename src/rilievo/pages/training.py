"""Page of a training run: its result, curves, pictures and settings."""

import csv
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from rilievo.errors import InputError
from rilievo.io.files.archives import BROKEN_FILE
from rilievo.io.files.limits import read_text
from rilievo.io.json_record import NotThisRecord, parse_json
from rilievo.pages.charts import SERIES, Chart, drawing
from rilievo.pages.document import write_page
from rilievo.pages.pictures import Item, Panel, photo_panel

PAGE = "page.html"

_STEP = "step"
_COLUMNS_WITHOUT_CURVES = frozenset(
    {_STEP, "epoch", "images", "seconds", "set", "frames", "progress"}
)
_MAX_CURVE_POINTS = 600
_MAX_PICTURES = 6  # of the frame, over the whole run
_MAX_NAME_LENGTH = 60  # charts take time to draw longer names

Rows = Sequence[Mapping[str, str]]


def write_training_page(
    run: Path,
    *,
    kind: str,
    verdict: str,
    counts: str,
    doubts: Sequence[str] = (),
    notes: Sequence[str] = (),
    more: Sequence[Chart] = (),
) -> Path:
    """Write ``page.html`` into the folder of a run, from the files that lie there.

    Args:
        run: Folder of the run.
        kind: Kind of training, for the title.
        verdict: Result in a sentence.
        counts: Numbers of steps, images and the like.
        doubts: Reasons to think that nothing was learned.
        notes: Further sentences.
        more: Charts that follow those of the validation.
    """
    tables = {path.stem: list(_csv_rows(path)) for path in sorted(run.glob("*.csv"))}
    held_out = [*_charts_of_columns(tables.pop("validation", [])), *more]
    record = _read_object_or_empty(run / "record.json")
    config = _read_object_or_empty(run / "config.json")
    differences = _difference_rows(record.pop("differences", []))
    write_page(
        run / PAGE,
        "training.html",
        name=run.name,
        kind=kind,
        verdict=verdict,
        counts=counts,
        doubts=doubts,
        notes=notes,
        held_out=held_out,
        curves=[chart for rows in tables.values() for chart in _charts_of_columns(rows)],
        items=list(_frame_item(run / "pictures")),
        differences=differences,
        config=list(_flatten(config)),
        record=list(_flatten(record)),
    )
    return run / PAGE


def _csv_rows(path: Path) -> Iterator[Mapping[str, str]]:
    """Yield the rows up to an unreadable one, since a page must not end a run."""
    with suppress(InputError, csv.Error):
        yield from csv.DictReader(StringIO(read_text(path)))


def _charts_of_columns(rows: Rows) -> Iterator[Chart]:
    """Draw all losses in one chart, and each other column in a chart with a curve for each set."""
    if not rows or _STEP not in rows[0]:
        return
    # Cells beyond the header's have no name.
    names = [name for name in rows[0] if name and name not in _COLUMNS_WITHOUT_CURVES]
    losses = [name for name in names if "loss" in name]
    if losses:
        yield from _chart_of_curves(
            {name: _finite_values_by_step(rows, name) for name in losses}, "loss"
        )
    for name in names:
        if name not in losses:
            sets = dict.fromkeys(row.get("set", "") for row in rows)
            lines = {
                set_name: _finite_values_by_step(
                    [row for row in rows if row.get("set", "") == set_name], name
                )
                for set_name in sets
            }
            yield from _chart_of_curves(lines, name.replace("_", " "))


def _finite_values_by_step(rows: Rows, name: str) -> dict[int, float]:
    """Collect the finite values of a column by step; the last one of a repeated step counts."""
    curve: dict[int, float] = {}
    for row in rows:
        try:
            curve[int(row[_STEP])] = float(row[name])
        except (KeyError, TypeError, ValueError):
            continue
    return {step: value for step, value in curve.items() if math.isfinite(value)}


def _chart_of_curves(lines: Mapping[str, dict[int, float]], label: str) -> Iterator[Chart]:
    """Draw curves by step in a chart; none if no curve has two values that differ."""
    label = label[:_MAX_NAME_LENGTH]
    lines = {
        name.replace("_", " ")[:_MAX_NAME_LENGTH]: line
        for name, line in lines.items()
        if len(line) > 1
    }
    if not any(len(set(line.values())) > 1 for line in lines.values()):
        return
    with drawing() as canvas:
        [axes] = canvas.axes
        for index, (name, line) in enumerate(lines.items()):
            stride = math.ceil(len(line) / _MAX_CURVE_POINTS)
            steps = sorted(line)[::stride]
            values = [line[step] for step in steps]
            axes.plot(steps, values, color=SERIES[index % len(SERIES)], linewidth=1.5, label=name)
        axes.set_xlabel("step")
        axes.set_ylabel(label, parse_math=False)
        if len(lines) > 1:
            axes.legend(frameon=False, fontsize=8)
    first_line = next(iter(lines.values()))
    first, last = first_line[min(first_line)], first_line[max(first_line)]
    caption = f"{label}: {first:.4g} at first, {last:.4g} at last"
    yield Chart(svg=canvas.svg, words=f"{caption}.", caption=caption)


def _frame_item(folder: Path) -> Iterator[Item]:
    """Make the item that shows the depth of one frame at several steps of the run, if any."""
    paths = _pictures_by_step(folder)
    if not paths:
        return
    steps = sorted(paths)
    count = min(_MAX_PICTURES, len(steps))
    shown = np.linspace(0, len(steps) - 1, count).round().astype(int)
    panels: list[Panel] = []
    for step in [steps[index] for index in shown]:
        try:
            with Image.open(paths[step]) as opened:
                pixels = np.asarray(opened.convert("RGB"))
        except (*BROKEN_FILE, Image.DecompressionBombError):
            continue
        # A picture stacks frame, depth, two warped sources and the mask.
        height = pixels.shape[0] // 5
        if not panels:
            panels.append(photo_panel(np.ascontiguousarray(pixels[:height])))
        depth = np.ascontiguousarray(pixels[height : 2 * height])
        panels.append(photo_panel(depth, f"Depth at step {step:,}"))
    if not panels:
        return
    yield Item(
        name="A frame that was held out" if len(panels) > 2 else "A frame",
        label="",
        value="",
        numbers=(),
        panels=tuple(panels),
    )


def _pictures_by_step(folder: Path) -> dict[int, Path]:
    paths = {}
    for path in folder.glob("step-*.png"):
        match = re.fullmatch(r"step-(\d+)\.png", path.name)
        if match is not None:
            paths[int(match[1])] = path
    return paths


def _read_object_or_empty(path: Path) -> dict[str, Any]:
    """Read a JSON object; an unreadable one is empty, since a page must not end a run."""
    with suppress(InputError, NotThisRecord):
        record = parse_json(read_text(path))
        return record if isinstance(record, dict) else {}
    return {}


def _difference_rows(value: Any) -> list[dict[str, Any]]:
    """Keep the differences from the published configuration that are written as expected."""
    rows = value if isinstance(value, list) else []
    return [row for row in rows if isinstance(row, dict) and "field" in row]


def _flatten(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield the values of nested objects as text, by their names joined with points."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _flatten(child, f"{name}.{key}" if name else key)
    else:
        yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
