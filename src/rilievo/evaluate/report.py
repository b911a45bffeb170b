"""The report: one page on how a model did, where it failed, and how to repeat it."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from rilievo.evaluate import wording
from rilievo.evaluate.certainty_charts import reliability_chart, sparsification_chart
from rilievo.evaluate.charts import error_against_depth, histogram, sequence
from rilievo.evaluate.intervals import FEWEST, scene_count
from rilievo.evaluate.metrics import known_metrics
from rilievo.evaluate.pictures import Pictures
from rilievo.evaluate.records import Evaluation, Score, Summary
from rilievo.evaluate.shortlist import headline, shortlist
from rilievo.evaluate.shown_images import ranked, shown_images
from rilievo.evaluate.table import metric_names
from rilievo.evaluate.wording import (
    DIRECTIONS,
    PROSE,
    aligned,
    count,
    full_name,
    head,
    meaning,
    setting_name,
    setting_value,
)
from rilievo.pages.charts import Chart
from rilievo.pages.document import write_page
from rilievo.pages.pictures import Item

LONGEST_TABLE = 2000
"""Most images that the table lists; of more, it lists the worst."""

WORST = 500

Facts = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Page:
    """Content of the template besides the evaluation itself."""

    subtitle: str
    counts: str
    leading_name: str
    headline: tuple[tuple[Summary, str | None], ...]
    aligned: str | None
    reading: str
    formulas: Facts
    prose: Facts
    settings: Facts
    short: frozenset[str]
    histograms: tuple[Chart, ...]
    ranges: Chart | None
    certainty: tuple[Chart, ...]
    has_pictures: bool
    items: Iterator[Item]
    ranked: int
    table: tuple[Score, ...]
    table_note: str
    has_scale: bool
    has_shift: bool
    has_notes: bool
    facts: tuple[tuple[str, Facts], ...]


def write_report(evaluation: Evaluation, path: Path, pictures: Pictures | None = None) -> None:
    """Write the report of an evaluation: one page of HTML that loads nothing from elsewhere.

    Of the images, only those that are shown are read, one at a time.

    Args:
        evaluation: Evaluation to report.
        path: The file, ``report.html`` by custom.
        pictures: Pictures of the best and the worst images; None for none.

    Raises:
        MissingExtraError: If matplotlib is not installed.
        OutputError: If the file cannot be written.
    """
    leading = evaluation.summaries[0] if evaluation.summaries else None
    page = _page(evaluation, leading, pictures)
    write_page(path, "report.html", run=evaluation, page=page, words=wording)


def _page(evaluation: Evaluation, leading: Summary | None, pictures: Pictures | None) -> _Page:
    scores = evaluation.scores
    order = ranked(scores, leading) if leading else []
    listed = scores if len(scores) <= LONGEST_TABLE else tuple(order[: -WORST - 1 : -1])
    shown = pictures if order else None
    settings = evaluation.settings
    short = shortlist(metric_names(evaluation))
    return _Page(
        subtitle=setting_value(settings.get("title", "")),
        counts=_counts(evaluation),
        leading_name=full_name(evaluation.task, leading) if leading else "",
        headline=tuple(_headline(evaluation)),
        aligned=aligned(evaluation.alignment),
        reading=_reading(evaluation, leading),
        formulas=_formulas(evaluation),
        prose=tuple(
            (setting_name(name).capitalize(), setting_value(settings[name]))
            for name in PROSE[1:]
            if settings.get(name)
        ),
        settings=_settings(evaluation),
        short=frozenset(short),
        histograms=tuple(_spread(evaluation, short)),
        ranges=_ranges(evaluation),
        certainty=tuple(_certainty(evaluation)),
        has_pictures=shown is not None,
        items=iter(()) if shown is None else shown_images(evaluation, shown),
        ranked=len(order),
        table=listed,
        table_note=_table_note(scores, leading),
        has_scale=any(score.scale is not None for score in scores),
        has_shift=any(score.shift is not None for score in scores),
        has_notes=any(score.notes for score in scores),
        facts=_facts(evaluation),
    )


def _headline(evaluation: Evaluation) -> Iterator[tuple[Summary, str | None]]:
    """The three metrics of the first screen, and the meaning of each."""
    known = {each.metric: each for each in evaluation.summaries}
    for name in headline(metric_names(evaluation)):
        yield known[name], meaning(evaluation.task, known[name])


def _spread(evaluation: Evaluation, short: tuple[str, ...]) -> Iterator[Chart]:
    """Histograms of the usual metrics, and the first along the dataset."""
    for place, each in enumerate(evaluation.summaries):
        values = _values(evaluation.scores, each)
        if each.metric in short and values.size:
            yield histogram(each, values)
        if place == 0 and values.size:
            yield sequence(each, values)


def _values(scores: tuple[Score, ...], summary: Summary) -> Float64[np.ndarray, "n"]:
    name = summary.metric
    return np.array([score.values[name] for score in scores if name in score.values], np.float64)


def _counts(evaluation: Evaluation) -> str:
    """Numbers of images."""
    data, scored = evaluation.data, len(evaluation.scores)
    text = f"{data.dataset}, {data.split}: {count(scored)} of {count(data.asked)} images scored"
    if data.asked < data.found:
        text += f", {count(data.found)} on disk"
    if data.official is not None and data.official != scored:
        text += f"; the whole split has {count(data.official)} images"
    return text


def _reading(evaluation: Evaluation, leading: Summary | None) -> str:
    """Explanation of the number that heads the page."""
    if leading is None:
        return "No image has a score."
    text = f"{DIRECTIONS[leading.better].capitalize()}."
    if leading.low is None:
        what = "images" if leading.images < FEWEST else "different scenes"
        return text + f" There are too few {what} for a confidence interval."
    scenes = scene_count([score.scene for score in evaluation.scores])
    what = f"{count(leading.images)} images"
    if scenes < leading.images:
        what = f"{count(scenes)} scenes, whose {what} are alike within a scene,"
    return text + (
        f" The interval says how far chance in the choice of these {what} reaches; it does not "
        "hold the errors of the truth itself."
    )


def _formulas(evaluation: Evaluation) -> Facts:
    """Formulas of the metrics that rilievo knows."""
    # The settings say where metrics of one's own are.
    names = setting_value(evaluation.settings.get("metrics", "")).split()
    names += [each.metric for each in evaluation.summaries]
    table = known_metrics(evaluation.task, names)
    return tuple(
        (head(each.label, each.unit), table[each.metric].summary)
        for each in evaluation.summaries
        if each.metric in table
    )


def _settings(evaluation: Evaluation) -> Facts:
    own = tuple(
        (setting_name(name), setting_value(value))
        for name, value in evaluation.settings.items()
        if name not in PROSE
    )
    used = (("predictions", evaluation.kind), ("aligned by", evaluation.alignment))
    return (*own, *((name, value) for name, value in used if value is not None))


def _ranges(evaluation: Evaluation) -> Chart | None:
    has_pixels = any(each.pixels for each in evaluation.ranges)
    return error_against_depth(evaluation.ranges) if has_pixels else None


def _certainty(evaluation: Evaluation) -> Iterator[Chart]:
    if evaluation.sparsification:
        label = "mean angle [°]" if evaluation.task == "normals" else "AbsRel"
        yield sparsification_chart(evaluation.sparsification, label)
    if evaluation.reliability:
        yield reliability_chart(evaluation.reliability)


def _table_note(scores: tuple[Score, ...], leading: Summary | None) -> str:
    if leading is not None and len(scores) > LONGEST_TABLE:
        return (
            f"The worst {WORST} of {count(len(scores))} images by {leading.label}; all of them are "
            "in the tables beside this page."
        )
    return f"{count(len(scores))} images in the dataset's order. A column's heading sorts by it."


def _facts(evaluation: Evaluation) -> tuple[tuple[str, Facts], ...]:
    """Everything needed to repeat it."""
    made = evaluation.made_by
    model = (
        ("name", made.model),
        ("weights, SHA-256", made.weights_sha256),
        ("licence", made.licence),
        *((setting_name(name), setting_value(made.settings[name])) for name in made.settings),
        ("made with", f"rilievo {made.version}"),
    )
    benchmark = (
        ("name", evaluation.benchmark),
        ("settings, SHA-256", evaluation.benchmark_sha256),
        ("scored with", f"rilievo {evaluation.version}"),
    )
    return (("Model", model), ("Data", _data_facts(evaluation)), ("Benchmark", benchmark))


def _data_facts(evaluation: Evaluation) -> Facts:
    data = evaluation.data
    return (
        ("dataset", data.dataset),
        ("folder", data.root),
        ("split", data.split),
        ("variant", data.variant),
        ("images in papers", "the user decides" if data.official is None else count(data.official)),
        ("images found", count(data.found)),
        ("images asked for", count(data.asked)),
        ("images scored", count(len(evaluation.scores))),
        ("list", data.list_file or "the official one"),
        ("ids, SHA-256", data.ids_sha256),
    )
