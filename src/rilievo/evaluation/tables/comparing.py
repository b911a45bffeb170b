"""Models side by side on one benchmark, with what chance alone would make of their differences."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from rilievo.errors import OptionError, suggest
from rilievo.evaluation.benchmarks import find_benchmark
from rilievo.evaluation.benchmarks.benchmark import Averaging, Published, settings_of
from rilievo.evaluation.metrics.metric import Better, badness
from rilievo.evaluation.records import Evaluation
from rilievo.evaluation.results.intervals import FEWEST, LEVEL, scene_count
from rilievo.evaluation.results.per_image_table import metric_names, read_evaluation
from rilievo.evaluation.tables.comparison import (
    Cell,
    Column,
    Comparison,
    LineUp,
    Row,
    is_by_scene,
    line_up,
    scenes_of,
)
from rilievo.evaluation.tables.run_groups import check_benchmark, shared_images
from rilievo.evaluation.tables.wording import count, setting_value
from rilievo.io.files.limits import printable
from rilievo.plugins import check_trusted


def notes_of(
    runs: Mapping[str, Evaluation], columns: Sequence[Column], *, images: int, is_cut: bool
) -> tuple[str, ...]:
    """Notes on a comparison, one sentence or two each.

    Args:
        runs: Evaluations by name.
        columns: Columns of the table.
        images: Number of images that are compared.
        is_cut: Whether some run has more.
    """
    return (
        *_on_method(runs, images),
        *_on_images(runs, columns, images=images, is_cut=is_cut),
        *_on_runs(runs),
    )


def _on_method(runs: Mapping[str, Evaluation], images: int) -> Iterator[str]:
    if len(runs) > 1:
        yield (
            f"Differences are paired over {count(images)} images: 95 % intervals by Student's t, p "
            "by Wilcoxon's signed-rank test with Holm's correction for the runs of each metric. "
            f"An asterisk marks p < {LEVEL:g} with an interval that leaves out zero; bold marks "
            "the best where it is so much better than every other run."
        )
        yield from _on_scenes(runs)
    if is_by_scene(runs):
        yield (
            "The benchmark averages the images of each scene, then the scenes; so do differences."
        )
    if any(run.settings.get("averaging") == Averaging.POOLED for run in runs.values()):
        yield (
            "The benchmark pools the pixels of all images; differences and p are of the values "
            "of single images, and can point the other way."
        )


def _on_scenes(runs: Mapping[str, Evaluation]) -> Iterator[str]:
    """Notes on scenes, whose frames are no independent evidence."""
    scores = next(iter(runs.values())).scores
    scenes = scene_count(scenes_of(runs, [each.id for each in scores]))
    if scenes < FEWEST <= len(scores):
        yield (
            f"All images are of {scenes} scene{'s' if scenes > 1 else ''}, whose frames are nearly "
            "alike: no interval is claimed, and nothing is called significant."
        )
    elif scenes < len(scores):
        yield (
            f"Frames of one scene are alike, so intervals and p rest on {count(scenes)} scenes, "
            "not on single images."
        )


def _on_images(
    runs: Mapping[str, Evaluation], columns: Sequence[Column], *, images: int, is_cut: bool
) -> Iterator[str]:
    if is_cut:
        had = ", ".join(f"{name} {count(len(run.scores))}" for name, run in runs.items())
        yield (
            f"Not the benchmark's own numbers: the runs were scored on different images ({had}), "
            f"so all values are means over the {count(images)} images that all of them have"
            f"{', scene by scene' if is_by_scene(runs) else ''}."
        )
    for column in columns:
        if len(column.ids) < images:
            yield (
                f"{column.label}: differences rest on {count(len(column.ids))} images, those where "
                "every run has it."
            )
        if column.better is Better.ZERO:
            yield f"{column.label}: what is compared is how far it is from zero, image by image."
    official = next(iter(runs.values())).data.official
    if official is not None and official != images:
        yield f"The whole split has {count(official)} images, not {count(images)}."


def _on_runs(runs: Mapping[str, Evaluation]) -> Iterator[str]:
    for what, how in (
        (lambda run: run.alignment, "Aligned in different ways, which forgive different errors"),
        (lambda run: run.kind, "Predictions are of different kinds"),
        (lambda run: run.version, "Scored with different versions of rilievo"),
    ):
        yield from _difference(runs, what, how)
    own = {name: run for name, run in runs.items() if "engine" in run.made_by.settings}
    yield from _difference(own, _processing, "Predicted with different processing")
    said: dict[str, list[str]] = {}
    for name, run in runs.items():
        lost = f"{count(len(run.unscored))} images have no score"
        for note in (*([lost] if run.unscored else []), *run.warnings):
            said.setdefault(note, []).append(name)
    for note, names in said.items():
        who = "every run" if len(names) == len(runs) > 1 else ", ".join(names)
        yield printable(f"Of {who}: {note.removesuffix('.')}.")


def _processing(run: Evaluation) -> str:
    """``version.PROCESSING`` of the predictions; those of 0.1 do not state it."""
    return str(run.made_by.settings.get("processing", 1))


def _difference(
    runs: Mapping[str, Evaluation], what: Callable[[Evaluation], str | None], how: str
) -> Iterator[str]:
    found = {name: what(run) for name, run in runs.items()}
    if len(set(found.values())) > 1:
        said = ", ".join(f"{name}: {value or 'none'}" for name, value in found.items())
        yield printable(f"{how} ({said}).")


def compare(
    runs: Sequence[Path | Evaluation],
    *,
    baseline: str | None = None,
    metrics: Sequence[str] | None = None,
    common: bool = False,
) -> Comparison:
    """Compare runs of one benchmark, beside its published results.

    Differences are tested image by image, or scene by scene where the dataset names them:
    Student's t gives their intervals, Wilcoxon's signed-rank test their p-values, with Holm's
    correction for the runs of each metric.

    Args:
        runs: Evaluations, their files, or the folders that hold them.
        baseline: Name, as in the rows, of the run that the others are compared with. By default
            the best run in each metric.
        metrics: Metrics to show, in this order; by default all that every run has.
        common: Whether runs of different images are compared by means over the images that all
            of them have.

    Raises:
        InputError: If a run cannot be read, or runs differ in benchmark, data or images.
        OptionError: If there is no run, or no such baseline or metric.
        MissingExtraError: If scipy is not installed.
    """
    if not runs:
        raise OptionError("there is no run to compare; give folders that hold evaluation.json")
    named = named_runs(runs)
    if baseline is not None and baseline not in named:
        raise OptionError(f"no run '{baseline}' for a baseline; {suggest(baseline, named)}")
    check_benchmark(named)
    ids = shared_images(named, common=common)
    return _compared(named, _metrics(named, metrics), ids, baseline)


def shared_metrics(runs: Sequence[Path | Evaluation]) -> tuple[str, ...]:
    """Metrics that all runs have, the leading one first.

    Raises:
        InputError: If a run cannot be read.
        OptionError: If there is none.
    """
    return _metrics(named_runs(runs), None)


def _compared(
    named: Mapping[str, Evaluation],
    metrics: Sequence[str],
    ids: tuple[str, ...],
    baseline: str | None,
) -> Comparison:
    is_cut = any(len(run.scores) != len(ids) for run in named.values())
    lines = [line_up(named, metric, ids, baseline, is_cut=is_cut) for metric in metrics]
    columns = tuple(line.column for line in lines)
    first = next(iter(named.values()))
    published = _published(first)
    return Comparison(
        benchmark=first.benchmark,
        benchmark_sha256=first.benchmark_sha256,
        title=setting_value(first.settings.get("title", "")),
        dataset=f"{first.data.dataset}, {first.data.split}",
        images=len(ids),
        baseline=baseline,
        columns=columns,
        rows=(*_run_rows(named, lines), *_published_rows(published, columns, named)),
        notes=notes_of(named, columns, images=len(ids), is_cut=is_cut),
        by_scene=is_by_scene(named),
    )


def named_runs(runs: Sequence[Path | Evaluation]) -> dict[str, Evaluation]:
    """Read runs, named after their model, and after their folder too where models repeat.

    Raises:
        InputError: If a run cannot be read.
    """
    read = [run if isinstance(run, Evaluation) else read_evaluation(run) for run in runs]
    models = Counter(run.made_by.model for run in read)
    named: dict[str, Evaluation] = {}
    for given, run in zip(runs, read, strict=True):
        name = run.made_by.model
        if models[name] > 1 and isinstance(given, Path):
            folder = given if given.is_dir() else given.parent
            name = f"{name} ({folder.resolve().name})"
        unique, number = name, 2
        while unique in named:
            unique, number = f"{name} #{number}", number + 1
        named[unique] = run
    return named


def _metrics(runs: Mapping[str, Evaluation], asked: Sequence[str] | None) -> tuple[str, ...]:
    """Names of the metrics to compare, each once."""
    known = [metric_names(run) for run in runs.values()]
    shared = tuple(name for name in known[0] if all(name in names for names in known))
    for name in asked or ():
        if name not in shared:
            raise OptionError(f"no metric '{name}' in every run; {suggest(name, shared)}")
    if not shared:
        raise OptionError("the runs have no metric in common")
    return tuple(dict.fromkeys(asked)) if asked else shared


def _run_rows(runs: Mapping[str, Evaluation], lines: Sequence[LineUp]) -> list[Row]:
    """Rows of the runs, the best in the leading metric first."""
    rows = [
        Row(
            name=name,
            is_published=False,
            cells={line.column.metric: line.cells[name] for line in lines},
            alignment=run.alignment,
        )
        for name, run in runs.items()
    ]
    return sorted(rows, key=lambda row: lines[0].cells[row.name].rank or 0)


def _published(run: Evaluation) -> tuple[Published, ...]:
    """Published results under the settings that the benchmark states, if the run has those."""
    try:
        check_trusted(run.benchmark, "benchmark", "evaluation")
        benchmark = find_benchmark(run.benchmark)
    except OptionError:
        return ()
    own = {name: value for name, value in settings_of(benchmark).items() if value is not None}
    if any(run.settings.get(name) != value for name, value in own.items()):
        return ()
    data = f"{run.data.dataset} {run.data.split}"
    return tuple(each for each in benchmark.published if each.data in ("", data))


def _published_rows(
    published: Sequence[Published], columns: Sequence[Column], runs: Mapping[str, Evaluation]
) -> list[Row]:
    """Rows of published results that have a metric of the columns, the best in the first first."""
    leading = columns[0]
    rows: list[Row] = []
    for each in published:
        known = [column.metric for column in columns if column.metric in each.values]
        if known:
            name = f"{each.model} (published)" if each.model in runs else each.model
            cells = {metric: Cell(value=each.values[metric]) for metric in known}
            rows.append(
                Row(
                    name=name,
                    is_published=True,
                    cells=cells,
                    source=each.source,
                    quote=each.quote,
                )
            )
    first = [row for row in rows if leading.metric in row.cells]
    first.sort(key=lambda row: badness(row.cells[leading.metric].value, leading.better))
    return [*first, *(row for row in rows if leading.metric not in row.cells)]
