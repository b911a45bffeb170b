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

from rilievo.arrays.shapes import Pixels
from rilievo.errors import InputError
from rilievo.io.files.archives import BROKEN_FILE
from rilievo.io.files.limits import read_text
from rilievo.io.json_record import InvalidRecordError, parse_json
from rilievo.pages.charts import SERIES, Chart, chart_canvas
from rilievo.pages.document import write_page
from rilievo.pages.pictures import ImageEntry, Panel, photo_panel

PAGE = "page.html"

_STEP = "step"
_COLUMNS_WITHOUT_CURVES = frozenset(
    {_STEP, "epoch", "images", "seconds", "set", "frames", "progress"}
)
_MAX_CURVE_POINTS = 600
_MAX_PICTURES = 6  # of the held-out frame, spread over the run; that of the kept step is added
_ROWS_PER_PICTURE = 5  # frame, depth, two warped sources and mask, of equal height
_MAX_NAME_LENGTH = 60  # charts take time to draw longer names

Rows = Sequence[Mapping[str, str]]


def write_training_page(
    run: Path,
    *,
    kind: str,
    verdict: str,
    counts: str,
    warnings: Sequence[str] = (),
    notes: Sequence[str] = (),
    more: Sequence[Chart] = (),
) -> Path:
    """Write ``page.html`` into the folder of a run, from the logs and records in it.

    Args:
        run: Folder of the run.
        kind: Kind of training, for the title.
        verdict: Result in one sentence.
        counts: Sentence with the numbers of steps, images and the like.
        warnings: Reasons to think that nothing was learned.
        notes: Further sentences.
        more: Charts that follow those of the validation.
    """
    logs = {path.stem: list(_csv_rows(path)) for path in sorted(run.glob("*.csv"))}
    validation_charts = [*_chart_columns(logs.pop("validation", [])), *more]
    training_charts = [chart for rows in logs.values() for chart in _chart_columns(rows)]
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
        quality_warnings=warnings,
        notes=notes,
        held_out=validation_charts,
        curves=training_charts,
        items=_frame_entries(run / "pictures", kept_step=record.get("best_step")),
        differences=differences,
        config=list(_flatten(config)),
        record=list(_flatten(record)),
    )
    return run / PAGE


def _csv_rows(path: Path) -> Iterator[Mapping[str, str]]:
    """Yield the rows up to an unreadable one, because a page must not end a run."""
    with suppress(InputError, csv.Error):
        yield from csv.DictReader(StringIO(read_text(path)))


def _chart_columns(rows: Rows) -> Iterator[Chart]:
    """Draw all losses in one chart, and each other column in its own, with a curve for each set.

    The sets are the values of the column ``set``, such as the data sets of a validation.
    """
    if not rows or _STEP not in rows[0]:
        return
    # Cells beyond those of the header have no name.
    names = [name for name in rows[0] if name and name not in _COLUMNS_WITHOUT_CURVES]
    loss_names = [name for name in names if "loss" in name]
    if loss_names:
        loss_curves = {name: _finite_values_by_step(rows, name) for name in loss_names}
        yield from _chart_changing_curves(loss_curves, "loss")

    rows_by_set: dict[str, list[Mapping[str, str]]] = {}
    for row in rows:
        rows_by_set.setdefault(row.get("set", ""), []).append(row)
    for name in names:
        if name in loss_names:
            continue
        curve_by_set = {
            set_name: _finite_values_by_step(set_rows, name)
            for set_name, set_rows in rows_by_set.items()
        }
        yield from _chart_changing_curves(curve_by_set, name.replace("_", " "))


def _finite_values_by_step(rows: Rows, name: str) -> dict[int, float]:
    """Collect the finite values of a column by step. Of a repeated step, the last value counts."""
    curve: dict[int, float] = {}
    for row in rows:
        try:
            curve[int(row[_STEP])] = float(row[name])
        except (KeyError, TypeError, ValueError):
            continue
    return {step: value for step, value in curve.items() if math.isfinite(value)}


def _chart_changing_curves(
    value_by_step_by_name: Mapping[str, dict[int, float]], name: str
) -> list[Chart]:
    """Chart curves over the steps; no chart if all curves are constant or have one value."""
    curves = {
        curve_name.replace("_", " ")[:_MAX_NAME_LENGTH]: value_by_step
        for curve_name, value_by_step in value_by_step_by_name.items()
        if len(value_by_step) > 1
    }
    has_change = any(len(set(curve.values())) > 1 for curve in curves.values())
    return [_chart_curves(curves, name[:_MAX_NAME_LENGTH])] if has_change else []


def _chart_curves(curves: Mapping[str, dict[int, float]], label: str) -> Chart:
    """Chart curves over the steps, by their names; ``label`` names the vertical axis."""
    with chart_canvas() as canvas:
        [axes] = canvas.axes
        for index, (name, curve) in enumerate(curves.items()):
            stride = math.ceil(len(curve) / _MAX_CURVE_POINTS)
            steps = sorted(curve)[::stride]
            values = [curve[step] for step in steps]
            axes.plot(steps, values, color=SERIES[index % len(SERIES)], linewidth=1.5, label=name)
        axes.set_xlabel("step")
        axes.set_ylabel(label, parse_math=False)
        if len(curves) > 1:
            axes.legend(frameon=False, fontsize=8)
    if len(curves) == 1:
        caption = f"{label}: {_describe_ends(*curves.values())}"
    else:
        ends = [f"{name}: {_describe_ends(curve)}" for name, curve in curves.items()]
        heading = "" if label in curves else f"{label}. "
        caption = heading + "; ".join(ends)
    return Chart(svg=canvas.svg, description=f"{caption}.", caption=caption)


def _describe_ends(curve: Mapping[int, float]) -> str:
    """State the first and the last value of a curve with their steps."""
    first_step, last_step = min(curve), max(curve)
    return (
        f"{curve[first_step]:.4g} at step {first_step:,}, "
        f"{curve[last_step]:.4g} at step {last_step:,}"
    )


def _frame_entries(folder: Path, *, kept_step: object) -> list[ImageEntry]:
    """Make an entry that shows the depth of one frame at several steps, if there are pictures.

    Args:
        folder: Folder of the pictures.
        kept_step: Step whose weights the run keeps, if the record says so.
    """
    paths = _picture_paths_by_step(folder)
    panels: list[Panel] = []
    for step in _shown_steps(sorted(paths), kept_step):
        picture = _read_picture(paths[step])
        if picture is None:
            continue
        row_height = picture.shape[0] // _ROWS_PER_PICTURE
        if not panels:
            frame = np.ascontiguousarray(picture[:row_height])
            panels.append(photo_panel(frame))
        depth = np.ascontiguousarray(picture[row_height : 2 * row_height])
        caption = f"Depth at step {step:,}"
        if step == kept_step:
            caption += ", whose weights are kept"
        panels.append(photo_panel(depth, caption))
    if not panels:
        return []
    name = "A held-out frame" if len(panels) > 2 else "A frame"
    return [ImageEntry(name=name, label="", value="", numbers=(), panels=tuple(panels))]


def _shown_steps(steps: Sequence[int], kept_step: object) -> list[int]:
    """Choose ``_MAX_PICTURES`` steps evenly from first to last, and the kept one if it is there."""
    count = min(_MAX_PICTURES, len(steps))
    indices = np.linspace(0, len(steps) - 1, count).round().astype(int)
    spread = {steps[index] for index in indices}
    return [step for step in steps if step in spread or step == kept_step]


def _read_picture(path: Path) -> Pixels | None:
    """Read a picture in RGB; None if the file is broken."""
    try:
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))
    except (*BROKEN_FILE, Image.DecompressionBombError):
        return None


def _picture_paths_by_step(folder: Path) -> dict[int, Path]:
    paths = {}
    for path in folder.glob("step-*.png"):
        match = re.fullmatch(r"step-(\d+)\.png", path.name)
        if match is not None:
            paths[int(match[1])] = path
    return paths


def _read_object_or_empty(path: Path) -> dict[str, Any]:
    """Read a JSON object; return {} if it is unreadable, because a page must not end a run."""
    with suppress(InputError, InvalidRecordError):
        record = parse_json(read_text(path))
        return record if isinstance(record, dict) else {}
    return {}


def _difference_rows(value: Any) -> list[dict[str, Any]]:
    rows = value if isinstance(value, list) else []
    return [row for row in rows if isinstance(row, dict) and "field" in row]


def _flatten(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield names and values of nested objects as text; names are joined by dots."""
    if isinstance(value, dict):
        for key, child in value.items():
            yield from _flatten(child, f"{name}.{key}" if name else key)
    else:
        yield name, value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
