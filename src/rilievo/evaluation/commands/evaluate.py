"""Command ``rilievo evaluate``, which scores a model or predictions."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from rilievo.cli.parsing import parse
from rilievo.cli.streams import complain, printing, say, table
from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text, for_terminal
from rilievo.evaluation.evaluate_across import evaluate_across
from rilievo.evaluation.evaluation_folder import REPORT, run_folder
from rilievo.evaluation.evaluation_run import PredictedPart, evaluate
from rilievo.evaluation.metrics.metric import Better
from rilievo.evaluation.options import EvaluateOptions, ignore_pillow_warnings
from rilievo.evaluation.records import Evaluation, Summary
from rilievo.evaluation.suite_run import SuiteResult, evaluate_protocols, rows_table, run_suite
from rilievo.evaluation.tables.wording import alignment_text, head, shortlist
from rilievo.io.files.names import printable
from rilievo.models import DEFAULT_MODEL
from rilievo.predicting.options import BatchOptions, ClusterOptions
from rilievo.schema.fields import Groups, option

USAGE_ERROR = 2
_HEADS = ("metric", "value", "95 % interval", "median", "images", "better")
_BETTER_WORDS = {Better.LOWER: "lower", Better.HIGHER: "higher", Better.ZERO: "near 0"}


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    GROUP: ClassVar[str] = "Benchmark and output"
    GROUPS: ClassVar[Groups] = {
        "Images": ("root",),
        "Model and speed": ("model",),
    }

    benchmark: Annotated[
        str | None, option(in_short_help=True, aliases=("-b",), metavar="NAME")
    ] = None
    """A name that 'rilievo benchmarks' lists, or one of your own as FILE.py:NAME or
    package.module:NAME.
    """
    suite: Annotated[str | None, option(in_short_help=True, metavar="NAME|FILE.toml")] = None
    """Several benchmarks in place of one: a suite that 'rilievo benchmarks' lists, or a file of
    your own. --root holds the folders of their datasets, --predictions one folder for each of them.
    What is finished is not done again.
    """
    protocols: Annotated[
        str | None, option(comma_separated=True, in_short_help=True, metavar="all|A,B")
    ] = None
    """Score --dataset by all benchmarks that the predictions can answer, or those named, with one
    prediction an image.
    """
    root: Annotated[Path | None, option(in_short_help=True, metavar="FOLDER")] = None
    """Folder of the dataset; 'rilievo datasets NAME' shows its layout."""
    model: Annotated[
        str | None, option(in_short_help=True, aliases=("-m",), metavar="NAME|FILE.onnx")
    ] = None
    """Name that 'rilievo models' lists, an ONNX file, ORG/NAME of the Hugging Face hub, or the
    folder of a checkpoint; with --predictions, the name for the results. By default rilievo's own
    model.
    """
    options: Annotated[EvaluateOptions, option(name="")]
    batch: Annotated[ClusterOptions, option(name="")]


def main(arguments: Sequence[str]) -> int:
    """Score a model, or predictions; returns 1 when some images have no score."""
    ignore_pillow_warnings()
    request = parse(
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
    model = request.model
    if model is None and request.options.predictions is None:
        model = DEFAULT_MODEL
    if request.protocols is not None or request.suite is not None:
        return _run_suite_or_protocols(model, request)
    result = _evaluate_benchmark(model, request)
    if isinstance(result, PredictedPart):
        return _print_part(result)
    with printing():
        say(_evaluation_text(result, request.options))
    return 1 if result.unscored else 0


def _evaluate_benchmark(model: str | None, arguments: _Arguments) -> Evaluation | PredictedPart:
    """Evaluate in this process, or with predictions by several processes or machines."""
    options, cluster = arguments.options, arguments.batch
    if arguments.benchmark is None:
        raise OptionError(
            problem=Text(
                "say what to score: ",
                OptionName("benchmark", "NAME"),
                " ('rilievo benchmarks' lists them) or ",
                OptionName("suite", "NAME"),
            )
        )
    batch = BatchOptions(workers=options.workers, shard=cluster.shard, ray=cluster.ray)
    has_predictions = options.predictions is not None and batch.shard is None
    if batch == BatchOptions() or has_predictions:
        return evaluate(model, arguments.benchmark, arguments.root, options)
    return evaluate_across(model, arguments.benchmark, arguments.root, options, batch)


def _run_suite_or_protocols(model: str | None, arguments: _Arguments) -> int:
    """Score by several benchmarks, print the results, and return the exit code."""
    choices = (arguments.benchmark, arguments.suite, arguments.protocols)
    if sum(choice is not None for choice in choices) > 1:
        raise OptionError(
            option="suite",
            problem=Text("and ", OptionName("protocols"), " run benchmarks of their own"),
            hint=Text("leave ", OptionName("benchmark"), " out, and give one of the two"),
        )
    if arguments.batch.shard is not None or arguments.batch.ray is not None:
        raise OptionError(
            option="shard",
            problem=Text("and ", OptionName("ray"), " are for one benchmark"),
            hint="leave them out",
        )
    if arguments.suite is not None:
        result = run_suite(model, arguments.suite, arguments.root, arguments.options, say=complain)
        return _print_suite(result)

    assert arguments.protocols is not None
    result = evaluate_protocols(
        model, arguments.protocols, arguments.root, arguments.options, say=complain
    )
    exit_code = _print_suite(result)
    # A benchmark that does not fit the dataset is no failure here.
    scored = [row for row in result.rows if row.evaluation is not None]
    return 0 if scored and all(row.is_whole for row in scored) else exit_code


def _print_suite(result: SuiteResult) -> int:
    """Print a table of all benchmarks.

    Returns 0 if every image has a score, 1 if some have none, and 2 without any result.
    """
    made = rows_table(result.rows)
    scored = [row for row in result.rows if row.evaluation is not None]
    lines = [
        result.title,
        "",
        table(made.plain_heads, made.plain_rows),
        "",
        *made.notes,
        f"{len(scored)} of {len(result.rows)} benchmarks have results, in "
        f"{printable(result.folder)}; 'rilievo compare' puts such folders side by side",
    ]
    with printing():
        say("\n".join(lines))
    if not scored:
        return USAGE_ERROR
    return 0 if all(row.is_whole for row in result.rows) else 1


def _print_part(part: PredictedPart) -> int:
    """Print what was predicted; returns 1 if an image failed."""
    with printing():
        say(
            f"{part.images - len(part.failed)} of {part.images} images of this part are predicted "
            f"in {part.folder}; once all parts are, the same command without --shard scores them"
        )
    return 1 if part.failed else 0


def _evaluation_text(evaluation: Evaluation, options: EvaluateOptions) -> str:
    """Text for the terminal: what was scored, the usual metrics, warnings and files."""
    data, made_by = evaluation.data, evaluation.made_by
    alignment = alignment_text(evaluation.alignment)
    kind = f" ({', '.join(filter(None, (evaluation.kind, alignment)))})" if evaluation.kind else ""
    shown_metrics = shortlist([summary.metric for summary in evaluation.summaries])
    hidden = len(evaluation.summaries) - len(shown_metrics)

    lines = [
        f"{made_by.model}{kind} on {evaluation.benchmark}: {data.dataset}, split {data.split}, "
        f"variant {data.variant}",
        "",
        _summary_table(evaluation.summaries, shown_metrics),
    ]
    if hidden:
        lines.append(f"{hidden} more metrics are in the results")
    lines += [
        "",
        f"{len(evaluation.scores)} of {data.asked} images have a score, "
        f"{evaluation.summaries[0].pixels:,} pixels, in {evaluation.seconds:.1f} s",
    ]
    if data.read_as is not None:
        lines.append(f"true depth is {data.read_as}")
    for part in evaluation.parts:
        part_table = _summary_table(part.summaries, shown_metrics)
        lines += ["", f"{part.name}: {part.images} images", part_table]
    lines += [f"warning: {for_terminal(warning)}" for warning in evaluation.warnings]

    folder = run_folder(options.output, made_by.model, evaluation.benchmark)
    report = folder / REPORT
    report_words = f"; the report: {report}" if report.exists() else ""
    return "\n".join([*lines, f"results in {folder}{report_words}"])


def _summary_table(summaries: Sequence[Summary], shown_metrics: Sequence[str]) -> str:
    rows = [_summary_row(summary) for summary in summaries if summary.metric in shown_metrics]
    return table(_HEADS, rows)


def _summary_row(summary: Summary) -> tuple[str, ...]:
    interval = "-"
    if summary.low is not None and summary.high is not None:
        interval = f"{_four_or_two_decimals(summary.low)} to {_four_or_two_decimals(summary.high)}"
    return (
        head(summary),
        _four_or_two_decimals(summary.value),
        interval,
        _four_or_two_decimals(summary.median),
        str(summary.images),
        _BETTER_WORDS[summary.better],
    )


def _four_or_two_decimals(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"
