"""Page of a training run."""

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
_PASSED_OVER = frozenset({_STEP, "epoch", "images", "seconds", "set", "frames", "progress"})
_MOST_POINTS = 600
_MOST_PICTURES = 6
# Charts take time to draw longer names.
_LONGEST = 60

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
    """Write ``page.html`` into the folder of a run.

    ``verdict`` is its result in a sentence, ``counts`` numbers of steps, images and the like,
    ``doubts``
    reasons to think that nothing was learned.
    """
    tables = {path.stem: list(_csv_rows(path)) for path in sorted(run.glob("*.csv"))}
    held_out = [*_charts_of_columns(tables.pop("validation", [])), *more]
    record, config = (_read_object_or_empty(run / name) for name in ("record.json", "config.json"))
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
    """Rows up to an unreadable one: a page must not end a run."""
    with suppress(InputError, csv.Error):
        yield from csv.DictReader(StringIO(read_text(path)))


def _charts_of_columns(rows: Rows) -> Iterator[Chart]:
    if not rows or _STEP not in rows[0]:
        return
    # Cells beyond the header's have no name.
    names = [name for name in rows[0] if name and name not in _PASSED_OVER]
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
    """Values of a column by step; repeated steps count once."""
    curve: dict[int, float] = {}
    for row in rows:
        try:
            curve[int(row[_STEP])] = float(row[name])
        except (KeyError, TypeError, ValueError):
            continue
    return {step: value for step, value in curve.items() if math.isfinite(value)}


def _chart_of_curves(lines: Mapping[str, dict[int, float]], label: str) -> Iterator[Chart]:
    """Draw a chart, unless no two points differ."""
    label = label[:_LONGEST]
    lines = {
        name.replace("_", " ")[:_LONGEST]: line for name, line in lines.items() if len(line) > 1
    }
    if not any(len(set(line.values())) > 1 for line in lines.values()):
        return
    with drawing() as canvas:
        [axes] = canvas.axes
        for place, (name, line) in enumerate(lines.items()):
            steps = sorted(line)[:: -(-len(line) // _MOST_POINTS)]
            values = [line[step] for step in steps]
            axes.plot(steps, values, color=SERIES[place % len(SERIES)], linewidth=1.5, label=name)
        axes.set_xlabel("step")
        axes.set_ylabel(label, parse_math=False)
        if len(lines) > 1:
            axes.legend(frameon=False, fontsize=8)
    first, last = ([line[end(line)] for line in lines.values()] for end in (min, max))
    caption = f"{label}: {first[0]:.4g} at first, {last[0]:.4g} at last"
    yield Chart(svg=canvas.svg, words=f"{caption}.", caption=caption)


def _frame_item(folder: Path) -> Iterator[Item]:
    """Depth of one frame at several steps."""
    steps = {
        int(hit[1]): path
        for path in folder.glob("step-*.png")
        if (hit := re.fullmatch(r"step-(\d+)\.png", path.name))
    }
    if not steps:
        return
    every = sorted(steps)
    places = np.linspace(0, len(every) - 1, min(_MOST_PICTURES, len(every))).round().astype(int)
    panels: list[Panel] = []
    for step in [every[place] for place in places]:
        try:
            with Image.open(steps[step]) as opened:
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


def _read_object_or_empty(path: Path) -> dict[str, Any]:
    with suppress(InputError, NotThisRecord):
        record = parse_json(read_text(path))
        return record if isinstance(record, dict) else {}
    return {}


def _difference_rows(value: Any) -> list[dict[str, Any]]:
    rows = value if isinstance(value, list) else []
    return [row for row in rows if isinstance(row, dict) and "field" in row]


def _flatten(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _flatten(child, f"{name}.{key}" if name else key)
    else:
        yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
