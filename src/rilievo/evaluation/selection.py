"""Images and benchmark of an evaluation."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from rilievo.alignment import METHODS, AlignMethod
from rilievo.data.datasets import find_dataset, open_dataset
from rilievo.data.datasets.dataset import Absent, Dataset
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.benchmarks.benchmark import (
    Benchmark,
    Invalid,
    Task,
    benchmark_metrics,
    choose_metrics,
    find_rule,
)
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.records import DataFacts
from rilievo.extensions.trust import CodePlace, is_import_path
from rilievo.records.depth_map import DepthKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Images to score, and the benchmark that scores them."""

    benchmark: Benchmark
    dataset: Dataset
    ids: tuple[str, ...]
    absent: tuple[Absent, ...]

    @property
    def facts(self) -> DataFacts:
        """Facts about the images."""
        request, card = self.dataset.request, self.dataset.card
        all_ids = [*self.ids, *(image.id for image in self.absent)]
        return DataFacts(
            dataset=request.name,
            root=str(request.root),
            split=request.split,
            variant=request.variant,
            official=None if request.list_file else card.counts.get(request.split),
            found=len(self.dataset.ids),
            asked=len(all_ids),
            # Names of files need not be Unicode.
            ids_sha256=hashlib.sha256(
                "\n".join(all_ids).encode(errors="surrogatepass")
            ).hexdigest(),
            list_file=None if request.list_file is None else str(request.list_file),
        )


def select_images(
    benchmark: Benchmark, root: str | Path | None, options: EvaluateOptions
) -> Selection:
    """Open the dataset and settle the benchmark."""
    if options.metric_words is not None:
        chosen = choose_metrics(benchmark, options.metric_words)
        benchmark = replace(benchmark, chosen_metrics=chosen)
    benchmark_metrics(benchmark)
    name = _dataset_name(benchmark, options)
    find_dataset(name)
    ruled = _override_alignment_and_invalid(benchmark, options.method, options.invalid_pixels)
    _import_rules(ruled)
    dataset = open_dataset(
        name,
        root,
        split=benchmark.split if options.split is None else options.split,
        variant=benchmark.variant if options.variant is None else options.variant,
        list_file=options.list_file,
    )
    ids = dataset.ids if options.limit is None else dataset.ids[: options.limit]
    if not ids:
        raise InputError(
            f"{dataset.request.root}: no image of split '{dataset.request.split}' is here"
            f"{dataset.first_missing}"
        )
    # With a limit, what comes after it is no part of the selection.
    absent = dataset.absent if options.limit is None else ()
    settled = _with_changes_in_name(benchmark, ruled, dataset, options.method)
    return Selection(benchmark=settled, dataset=dataset, ids=ids, absent=absent)


def _import_rules(benchmark: Benchmark) -> None:
    rules = [
        ("crop", benchmark.input_crop),
        ("crop", benchmark.crop),
        ("mask", benchmark.mask or ""),
        ("interpolation", benchmark.interpolation),
        *(("fit", fit) for fit in benchmark.alignment.values()),
    ]
    for what, place in rules:
        if is_import_path(place):
            find_rule(place, what)


def _override_alignment_and_invalid(
    benchmark: Benchmark, method: AlignMethod | CodePlace | None, invalid: Invalid | None
) -> Benchmark:
    alignment = benchmark.alignment
    if method is not None:
        if benchmark.task is not Task.DEPTH:
            raise OptionError(
                f"the benchmark '{benchmark.name}' aligns nothing",
                hint=Text("leave ", OptionName("align"), " out"),
            )
        own = isinstance(method, CodePlace)
        alignment = {
            **alignment,
            **{kind: method for kind in DepthKind if own or method in METHODS[kind]},
        }
    if invalid is Invalid.FAR and benchmark.task is not Task.DEPTH:
        raise OptionError(
            option="invalid",
            problem=(
                f"far is for depth, and the benchmark '{benchmark.name}' scores "
                f"{benchmark.task}: say skip or refuse"
            ),
        )
    return replace(benchmark, alignment=alignment, invalid=invalid or benchmark.invalid)


def _with_changes_in_name(
    benchmark: Benchmark, ruled: Benchmark, dataset: Dataset, method: AlignMethod | CodePlace | None
) -> Benchmark:
    """Benchmark whose name lists its changes."""
    request, card = dataset.request, dataset.card
    changes = []
    for what, chosen, usual in (
        ("split", request.split, benchmark.split or card.splits[0]),
        ("variant", request.variant, benchmark.variant or card.variants[0]),
    ):
        if chosen != usual:
            changes.append(f"{what}={chosen}")
    if method is not None:
        changes.append(str(method))
    if ruled.invalid is not benchmark.invalid:
        changes.append(f"invalid-{ruled.invalid}")
    # Benchmarks for any dataset have no split or variant of their own to depart from.
    named = changes if benchmark.dataset else [change for change in changes if "=" not in change]
    return replace(
        ruled,
        name="+".join([benchmark.name, *named]),
        dataset=request.name,
        split=request.split,
        variant=request.variant,
    )


def _dataset_name(benchmark: Benchmark, options: EvaluateOptions) -> str:
    if benchmark.dataset is None:
        if options.dataset is None:
            raise OptionError(
                problem=Text(
                    f"the benchmark '{benchmark.name}' fits any dataset: say which with ",
                    OptionName("dataset"),
                    " ('rilievo datasets' lists them; 'folder' reads a folder of your own)",
                ),
            )
        return options.dataset
    if options.dataset not in (None, benchmark.dataset):
        raise OptionError(
            f"the benchmark '{benchmark.name}' is on the dataset '{benchmark.dataset}', not on "
            f"'{options.dataset}'; 'depth' and 'normals' fit any"
        )
    return benchmark.dataset
