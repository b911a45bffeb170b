"""Command ``rilievo evaluate``, which scores a model or predictions."""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from rilievo.cli.parsing import parse
from rilievo.cli.streams import format_table, print_to_stderr, printing, say
from rilievo.errors import OptionError
from rilievo.errors.messages import OptionName, Text, count_text, for_terminal
from rilievo.evaluation.evaluate_across import evaluate_across
from rilievo.evaluation.evaluation_folder import REPORT, run_folder
from rilievo.evaluation.evaluation_plan import make_plan
from rilievo.evaluation.evaluation_run import PredictedPart, score_plan
from rilievo.evaluation.metrics.metric import Better
from rilievo.evaluation.model_names import shown_model_name
from rilievo.evaluation.options import EvaluateOptions, ignore_pillow_warnings
from rilievo.evaluation.records import Evaluation, Summary
from rilievo.evaluation.suite_run import SuiteResult, evaluate_protocols, rows_table, run_suite
from rilievo.evaluation.tables.wording import alignment_text, head, shortlist
from rilievo.io.files.names import printable
from rilievo.models import DEFAULT_MODEL
from rilievo.predicting.options import BatchOptions, ClusterOptions
from rilievo.schema.fields import FieldsByTitle, option

USAGE_ERROR = 2
_SUMMARY_HEADS = ("metric", "value", "95% interval", "median", "images", "better")
_BETTER_WORDS = {Better.LOWER: "lower", Better.HIGHER: "higher", Better.ZERO: "near 0"}


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    HELP_TITLE: ClassVar[str] = "Benchmark and output"
    FIELDS_BY_TITLE: ClassVar[FieldsByTitle] = {
        "Images": ("root",),
        "Model and speed": ("model",),
    }

    benchmark: Annotated[
        str | None, option(in_short_help=True, aliases=("-b",), metavar="NAME")
    ] = None
    """Benchmark to score with: a name that 'rilievo benchmarks' lists, or your own as FILE.py:NAME
    or package.module:NAME.
    """
    suite: Annotated[str | None, option(in_short_help=True, metavar="NAME|FILE.toml")] = None
    """Score with several benchmarks: a suite that 'rilievo benchmarks' lists, or your own file.
    --root must contain the folders of their datasets, and --predictions one folder for each of
    them. Finished benchmarks are not scored again.
    """
    protocols: Annotated[
        str | None, option(comma_separated=True, in_short_help=True, metavar="all|A,B")
    ] = None
    """Score --dataset with all benchmarks that fit the predictions, or with the benchmarks that you
    list. Each image is predicted only once.
    """
    root: Annotated[Path | None, option(in_short_help=True, metavar="FOLDER")] = None
    """Folder of the dataset; 'rilievo datasets NAME' shows its layout."""
    model: Annotated[
        str | None, option(in_short_help=True, aliases=("-m",), metavar="NAME|FILE.onnx")
    ] = None
    """Model to score: a name that 'rilievo models' lists, an ONNX file, ORG/NAME from the Hugging
    Face hub, or the folder of a training run or checkpoint; by default rilievo's own model. With
    --predictions, the name to show in the results.
    """
    options: Annotated[EvaluateOptions, option(inline=True)]
    batch: Annotated[ClusterOptions, option(inline=True)]


def main(arguments: Sequence[str]) -> int:
    """Score a model or predictions, and return 1 if some images have no score."""
    ignore_pillow_warnings()
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo evaluate",
        description="Score a model, or a folder of predictions, on a dataset.",
        examples=(
            "rilievo evaluate -b nyuv2-eigen --root nyu/ -o small",
            "rilievo evaluate -b depth --dataset folder --root mine/ -o rooms",
            "rilievo evaluate -b ibims --root ibims/ --predictions theirs/ --kind metric",
            "rilievo evaluate --protocols all --dataset nyuv2 --root nyu/ -o small",
            "rilievo evaluate --suite marigold --root datasets/ -o small",
        ),
    )
    model = request.model
    if model is None and request.options.predictions is None:
        model = DEFAULT_MODEL
    if request.protocols is not None or request.suite is not None:
        return _run_suite_or_protocols(model, request)
    shown_warnings: set[str] = set()
    result = _evaluate_benchmark(model, request, shown_warnings)
    if isinstance(result, PredictedPart):
        return _print_predicted_part(result)
    with printing():
        say(_evaluation_text(result, request.options, shown_warnings))
    return 1 if result.unscored else 0


def _evaluate_benchmark(
    model: str | None, arguments: _Arguments, shown_warnings: set[str]
) -> Evaluation | PredictedPart:
    """Evaluate in this process, or with predictions by several processes or machines.

    Warnings that are shown before the scores are added to ``shown_warnings``.
    """
    options, cluster = arguments.options, arguments.batch
    if arguments.benchmark is None:
        raise OptionError(
            problem=Text(
                "choose a benchmark: ",
                OptionName("benchmark", "NAME"),
                " ('rilievo benchmarks' lists them) or ",
                OptionName("suite", "NAME"),
            )
        )
    batch = BatchOptions(workers=options.workers, shard=cluster.shard, ray=cluster.ray)
    # Existing predictions need no processes that predict, unless --shard asks for a part of them,
    # which evaluate_across refuses.
    needs_no_prediction = options.predictions is not None and batch.shard is None
    if batch == BatchOptions() or needs_no_prediction:
        plan = make_plan(model, arguments.benchmark, arguments.root, options)
        return score_plan(plan, shown_warnings=shown_warnings)
    return evaluate_across(
        model,
        arguments.benchmark,
        arguments.root,
        options,
        batch,
        shown_warnings=shown_warnings,
    )


def _run_suite_or_protocols(model: str | None, arguments: _Arguments) -> int:
    """Score by several benchmarks, print the results, and return the exit code."""
    choices = (arguments.benchmark, arguments.suite, arguments.protocols)
    if sum(choice is not None for choice in choices) > 1:
        raise OptionError(
            option="suite",
            problem=Text("and ", OptionName("protocols"), " choose their own benchmarks"),
            hint=Text(
                "give only one of ",
                OptionName("benchmark"),
                ", ",
                OptionName("suite"),
                " and ",
                OptionName("protocols"),
            ),
        )
    if arguments.batch.shard is not None or arguments.batch.ray is not None:
        raise OptionError(
            option="shard",
            problem=Text("and ", OptionName("ray"), " only apply to a single benchmark"),
            hint="leave them out",
        )
    if arguments.suite is not None:
        result = run_suite(
            model, arguments.suite, arguments.root, arguments.options, say=print_to_stderr
        )
        return _print_suite(result)

    assert arguments.protocols is not None
    result = evaluate_protocols(
        model, arguments.protocols, arguments.root, arguments.options, say=print_to_stderr
    )
    exit_code = _print_suite(result)
    # A benchmark that does not fit the dataset is no failure here.
    scored_rows = [row for row in result.rows if row.evaluation is not None]
    has_scores_of_all_images = bool(scored_rows) and all(row.is_complete for row in scored_rows)
    return 0 if has_scores_of_all_images else exit_code


def _print_suite(result: SuiteResult) -> int:
    """Print a table of all benchmarks, and return the exit code.

    It is 0 if every image has a score, 1 if some images have none, and 2 without any result.
    """
    content = rows_table(result.rows)
    scored_rows = [row for row in result.rows if row.evaluation is not None]
    summary = (
        f"{len(scored_rows)} of {len(result.rows)} benchmarks have results in "
        f"{printable(result.folder)}"
    )
    if scored_rows:
        summary += "; give such folders to 'rilievo compare' to compare models"
    lines = [
        result.title,
        "",
        format_table(content.terminal_headings, content.terminal_rows),
        "",
        *content.notes,
        summary,
    ]
    with printing():
        say("\n".join(lines))
    if not scored_rows:
        return USAGE_ERROR
    return 0 if all(row.is_complete for row in result.rows) else 1


def _print_predicted_part(part: PredictedPart) -> int:
    """Print how many images were predicted, and return 1 if an image failed."""
    predicted_count = part.image_count - len(part.failed)
    verb = "has" if predicted_count == 1 else "have"
    with printing():
        say(
            f"{predicted_count} of {count_text(part.image_count, 'image')} of this part {verb} "
            f"been predicted, and the predictions are in {part.folder}. When all parts are "
            "finished, run the same command without --shard to score them."
        )
    return 1 if part.failed else 0


def _evaluation_text(
    evaluation: Evaluation, options: EvaluateOptions, shown_warnings: Collection[str]
) -> str:
    """Text for the terminal: what was scored, the usual metrics, other warnings and files."""
    data, made_by = evaluation.data, evaluation.made_by
    kind_words = ""
    if evaluation.kind:
        alignment = alignment_text(evaluation.alignment)
        kind_words = f" ({', '.join(filter(None, (evaluation.kind, alignment)))})"
    shown_metrics = shortlist([summary.metric for summary in evaluation.summaries])
    hidden_count = len(evaluation.summaries) - len(shown_metrics)

    lines = [
        f"{shown_model_name(made_by.model)}{kind_words} on {evaluation.benchmark}: {data.dataset}, "
        f"split {data.split}, variant {data.variant}",
        "",
        _summary_table(evaluation.summaries, shown_metrics),
    ]
    if hidden_count:
        verb = "is" if hidden_count == 1 else "are"
        lines.append(f"{count_text(hidden_count, 'more metric')} {verb} in the results")
    lines += [
        "",
        f"{len(evaluation.scores)} of {count_text(data.asked, 'image')} "
        f"{'has' if len(evaluation.scores) == 1 else 'have'} a score",
        f"{evaluation.summaries[0].pixels:,} pixels were scored in {evaluation.seconds:.1f} s",
    ]
    lines += _left_out_lines(evaluation)
    if data.read_as is not None:
        lines.append(f"ground-truth depth is {data.read_as}")
    for part in evaluation.parts:
        part_table = _summary_table(part.summaries, shown_metrics)
        lines += ["", f"{part.name}: {count_text(part.images, 'image')}", part_table]
    lines += [
        f"warning: {for_terminal(warning)}"
        for warning in evaluation.warnings
        if warning not in shown_warnings
    ]

    folder = run_folder(options.output, made_by.model, evaluation.benchmark)
    report = folder / REPORT
    report_words = f", with the report {report}" if report.exists() else ""
    return "\n".join([*lines, f"results in {folder}{report_words}"])


def _left_out_lines(evaluation: Evaluation) -> list[str]:
    """Line on the pixels with ground truth that the benchmark leaves out; empty for none."""
    counts: Counter[str] = Counter()
    for score in evaluation.scores:
        counts.update(score.left_out)
    if not counts:
        return []
    texts = [f"{count:,} by {name} ({evaluation.settings[name]})" for name, count in counts.items()]
    return [f"pixels with ground truth that the benchmark leaves out: {', '.join(texts)}"]


def _summary_table(summaries: Sequence[Summary], shown_metrics: Sequence[str]) -> str:
    rows = [_summary_row(summary) for summary in summaries if summary.metric in shown_metrics]
    return format_table(_SUMMARY_HEADS, rows)


def _summary_row(summary: Summary) -> tuple[str, ...]:
    interval = "-"
    if summary.low is not None and summary.high is not None:
        interval = f"{_format_value(summary.low)} to {_format_value(summary.high)}"
    return (
        head(summary),
        _format_value(summary.value),
        interval,
        _format_value(summary.median),
        str(summary.images),
        _BETTER_WORDS[summary.better],
    )


def _format_value(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 10 else f"{value:.2f}"
