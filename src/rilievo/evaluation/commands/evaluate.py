"""``rilievo evaluate``."""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import tyro

from rilievo.cli.parsing import parse
from rilievo.cli.streams import complain, printing, table
from rilievo.errors import OptionError
from rilievo.evaluation.evaluate_across import evaluate_across
from rilievo.evaluation.evaluate_options import EvaluateOptions
from rilievo.evaluation.evaluating import PredictedPart, evaluate
from rilievo.evaluation.metrics.metric import Better
from rilievo.evaluation.protocols.protocols_run import evaluate_protocols
from rilievo.evaluation.records import Evaluation, Summary
from rilievo.evaluation.results.evaluation_folder import REPORT, run_folder
from rilievo.evaluation.suite_run import SuiteRow, rows_table, run_suite
from rilievo.evaluation.tables.run_groups import find_runs
from rilievo.evaluation.tables.standings import standings
from rilievo.evaluation.tables.standings_tables import changes_table
from rilievo.evaluation.tables.wording import aligned, shortlist
from rilievo.io.files.limits import printable
from rilievo.models import DEFAULT_MODEL
from rilievo.predicting.batch_options import BatchOptions, ClusterOptions

USAGE_ERROR = 2
"""Exit code where nothing could be scored."""

LISTED = 5
"""Number of images without a score that are printed; the report has all of them."""

_HEADER = ("metric", "value", "95 % interval", "median", "images", "better")
_SIGNS = {Better.LOWER: "lower", Better.HIGHER: "higher", Better.ZERO: "near 0"}


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    GROUP: ClassVar[str] = "Benchmark and output"
    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "Images": ("root",),
        "Model and speed": ("model",),
    }

    benchmark: Annotated[str | None, tyro.conf.arg(aliases=("-b",), metavar="NAME")] = None
    """A name that 'rilievo benchmarks' lists, or one of your own as FILE.py:NAME or
    package.module:NAME."""
    suite: Annotated[str | None, tyro.conf.arg(metavar="NAME|FILE.toml")] = None
    """Several benchmarks one after the other, in place of one: a suite that 'rilievo benchmarks'
    lists, or a file of your own. --root holds the folders of their datasets, --predictions one
    folder for each of them. What is finished is not done again."""
    protocols: Annotated[str | None, tyro.conf.arg(metavar="all|A,B")] = None
    """Score --dataset by all benchmarks that the predictions can answer, or those that are named,
    with one prediction an image, in place of one benchmark."""
    against: Annotated[tuple[Path, ...], tyro.conf.arg(metavar="RUN")] = ()
    """Results of other models; with --protocols, ranks of all of them by benchmark are shown."""
    root: Annotated[Path | None, tyro.conf.arg(metavar="FOLDER")] = None
    """Folder of the dataset; 'rilievo datasets NAME' shows its layout. Only 'synthetic', which is
    generated, needs none.
    """
    model: Annotated[str | None, tyro.conf.arg(aliases=("-m",), metavar="NAME|FILE.onnx")] = None
    """Name that 'rilievo models' lists, an ONNX file, ORG/NAME of the Hugging Face hub, or the
    folder of a checkpoint; with --predictions, the name for the results. By default rilievo's own
    model.
    """
    options: Annotated[EvaluateOptions, tyro.conf.arg(name="")]
    batch: Annotated[ClusterOptions, tyro.conf.arg(name="")]


def main(arguments: Sequence[str]) -> int:
    """Score a model, or a folder of predictions; returns 1 when some images have no score."""
    warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
    given = parse(
        _Arguments,
        arguments,
        prog="rilievo evaluate",
        description="Score a model, or a folder of predictions, on a dataset.",
        examples=(
            "rilievo evaluate -b nyuv2-eigen --root nyu/ -o small",
            "rilievo evaluate -b depth --dataset folder --root mine/ --predictions theirs/",
            "rilievo evaluate --protocols all --dataset nyuv2 --root nyu/ -o small",
            "rilievo evaluate --suite marigold --root datasets/ -o small",
        ),
    )
    model = given.model
    if model is None and given.options.predictions is None:
        model = DEFAULT_MODEL
    if given.protocols is not None:
        return _run_protocols(model, given.protocols, given)
    if given.suite is not None:
        return _run_suite(model, given.suite, given)
    evaluation = _evaluated(model, given)
    if isinstance(evaluation, PredictedPart):
        return _say_part(evaluation)
    with printing():
        print(_text(evaluation, given.options))
    return 1 if evaluation.unscored else 0


def _evaluated(model: str | None, given: _Arguments) -> Evaluation | PredictedPart:
    options, cluster = given.options, given.batch
    if given.benchmark is None:
        raise OptionError(
            "say what to score: --benchmark NAME ('rilievo benchmarks' lists them) or --suite NAME"
        )
    batch = BatchOptions(workers=options.workers, shard=cluster.shard, ray=cluster.ray)
    if batch.is_plain or (options.predictions is not None and batch.shard is None):
        return evaluate(model, given.benchmark, given.root, options)
    return evaluate_across(model, given.benchmark, given.root, options, batch)


def _run_suite(model: str | None, suite: str, given: _Arguments) -> int:
    if given.benchmark is not None:
        raise OptionError("--suite runs benchmarks of its own; leave --benchmark out")
    if (given.batch.shard, given.batch.ray) != (None, None):
        raise OptionError("--shard and --ray are for one benchmark; run those of the suite apart")
    result = run_suite(model, suite, given.root, given.options, say=complain)
    return _say_rows(f"{result.suite.name}: {result.suite.title}", result.rows, result.folder)


def _run_protocols(model: str | None, protocols: str, given: _Arguments) -> int:
    if (given.benchmark, given.suite) != (None, None):
        raise OptionError("--protocols takes the place of --benchmark and --suite; leave them out")
    if (given.batch.shard, given.batch.ray) != (None, None):
        raise OptionError("--shard and --ray are for one benchmark; leave them out")
    result = evaluate_protocols(model, protocols, given.root, given.options)
    _say_rows(f"{given.options.dataset}: {protocols}", result.rows, result.folder)
    scored = [row for row in result.rows if row.evaluation is not None]
    if given.against:
        _say_changes([row.folder for row in scored], given.against)
    # What a benchmark refuses as a whole is no fault of an image.
    return 0 if all(row.is_whole for row in scored) else 1


def _say_changes(ours: Sequence[Path], others: Sequence[Path]) -> None:
    """Print how the ranks of models change with the benchmark."""
    runs = find_runs(ours)
    known = {run.evaluation.benchmark_sha256 for run in runs}
    runs += tuple(run for run in find_runs(others) if run.evaluation.benchmark_sha256 in known)
    changes = changes_table(standings(runs))
    if not changes.rows:
        raise OptionError("--against has no other model's results of two of these benchmarks")
    with printing():
        print(f"\n{table(changes.plain_heads, changes.plain_rows)}")


def _say_rows(title: str, rows: Sequence[SuiteRow], folder: Path) -> int:
    """Print benchmarks with their numbers or reasons; returns the exit code of a suite."""
    made = rows_table(rows)
    scored = [row for row in rows if row.evaluation is not None]
    lines = [
        title,
        "",
        table(made.plain_heads, made.plain_rows),
        "",
        *made.notes,
        f"{len(scored)} of {len(rows)} benchmarks have results, in {printable(folder)}; "
        "'rilievo compare' puts such folders side by side",
    ]
    with printing():
        print("\n".join(lines))
    if not scored:
        return USAGE_ERROR
    return 0 if all(row.is_whole for row in rows) else 1


def _say_part(part: PredictedPart) -> int:
    with printing():
        print(
            f"{part.images - len(part.failed)} of {part.images} images of this part are predicted "
            f"in {part.folder}; once all parts are, the same command without --shard scores them"
        )
    return 1 if part.failed else 0


def _text(evaluation: Evaluation, options: EvaluateOptions) -> str:
    data, made_by = evaluation.data, evaluation.made_by
    how = aligned(evaluation.alignment)
    kind = f" ({', '.join(filter(None, (evaluation.kind, how)))})" if evaluation.kind else ""
    short = shortlist([each.metric for each in evaluation.summaries])
    more = len(evaluation.summaries) - len(short)
    lines = [
        f"{made_by.model}{kind} on {evaluation.benchmark}: {data.dataset}, split {data.split}, "
        f"variant {data.variant}",
        "",
        table(_HEADER, [_row(each) for each in evaluation.summaries if each.metric in short]),
        *([f"{more} more metrics are in the results"] if more else []),
        "",
        f"{len(evaluation.scores)} of {data.asked} images have a score, "
        f"{evaluation.summaries[0].pixels:,} pixels, in {evaluation.seconds:.1f} s",
    ]
    for part in evaluation.parts:
        lines += [
            "",
            f"{part.name}: {part.images} images",
            table(_HEADER, [_row(each) for each in part.summaries if each.metric in short]),
        ]
    lines += [
        f"  no score: {printable(each.id)}: {each.reason}" for each in evaluation.unscored[:LISTED]
    ]
    if len(evaluation.unscored) > LISTED:
        lines.append(f"  ... and {len(evaluation.unscored) - LISTED} more, in the results")
    lines += [f"warning: {each}" for each in evaluation.warnings]
    folder = run_folder(options.output, made_by.model, evaluation.benchmark)
    lines.append(f"results in {folder}" + _report(folder))
    return "\n".join(lines)


def _report(folder: Path) -> str:
    report = folder / REPORT
    return f"; the report: {report}" if report.exists() else ""


def _row(each: Summary) -> tuple[str, ...]:
    interval = "-"
    if each.low is not None and each.high is not None:
        interval = f"{_number(each.low)} to {_number(each.high)}"
    unit = f" [{each.unit}]" if each.unit else ""
    return (
        each.label + unit,
        _number(each.value),
        interval,
        _number(each.median),
        str(each.images),
        _SIGNS[each.better],
    )


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"
