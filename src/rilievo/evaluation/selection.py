"""Choose the images of an evaluation, and apply the user's changes to its benchmark."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

from rilievo.alignment.ground_truth import METHODS, AlignMethod
from rilievo.data.datasets import find_dataset, open_dataset
from rilievo.data.datasets.dataset import Absent, Dataset
from rilievo.errors import InputError, OptionError
from rilievo.errors.messages import OptionName, Text
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Invalid, Task
from rilievo.evaluation.benchmarks.metric_choice import benchmark_metrics, choose_metrics
from rilievo.evaluation.benchmarks.user_rules import find_rule
from rilievo.evaluation.options import EvaluateOptions
from rilievo.evaluation.records import ScoredData
from rilievo.extensions.trust import CodePlace, is_import_path
from rilievo.records.depth_map import DepthKind


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """Images to score, and the benchmark that scores them.

    Attributes:
        ids: Images on disk.
        absent: Images to score that are missing on disk.
    """

    benchmark: Benchmark
    dataset: Dataset
    ids: tuple[str, ...]
    absent: tuple[Absent, ...]

    @property
    def scored_data(self) -> ScoredData:
        """Description of the images for ``evaluation.json``."""
        request, card = self.dataset.request, self.dataset.card
        all_ids = [*self.ids, *(image.id for image in self.absent)]
        # Names of files need not be Unicode.
        id_bytes = "\n".join(all_ids).encode(errors="surrogatepass")
        return ScoredData(
            dataset=request.name,
            root=str(request.root),
            split=request.split,
            variant=request.variant,
            official=card.counts.get(request.split),
            found=len(self.dataset.ids),
            asked=len(all_ids),
            ids_sha256=hashlib.sha256(id_bytes).hexdigest(),
            list_file=None if request.list_file is None else str(request.list_file),
        )


def select_images(
    benchmark: Benchmark, root: str | Path | None, options: EvaluateOptions
) -> Selection:
    """Open the dataset, choose the images, and apply the options to the benchmark.

    Raises:
        OptionError: If a name is unknown, or options do not fit the benchmark.
        InputError: If the root is not the dataset, or has no image of the split.
    """
    if options.metric_words is not None:
        chosen_metrics = choose_metrics(benchmark, options.metric_words)
        benchmark = replace(benchmark, chosen_metrics=chosen_metrics)
    # Names are looked up before the dataset is opened, so that a wrong one is reported at once.
    benchmark_metrics(benchmark)
    dataset_name = _choose_dataset(benchmark, options.dataset)
    find_dataset(dataset_name)
    changed = _override_alignment_and_invalid(benchmark, options.method, options.invalid_pixels)
    _import_user_rules(changed)

    dataset = open_dataset(
        dataset_name,
        root,
        split=benchmark.split if options.split is None else options.split,
        variant=benchmark.variant if options.variant is None else options.variant,
        list_file=options.list_file,
    )
    ids = dataset.ids if options.limit is None else dataset.ids[: options.limit]
    if not ids:
        raise InputError(
            f"{dataset.request.root}: contains no image of the split "
            f"'{dataset.request.split}'{dataset.first_missing}"
        )
    # With a limit, missing images are skipped.
    absent = dataset.absent if options.limit is None else ()
    resolved = _resolve_benchmark(benchmark, changed, dataset, options.method)
    return Selection(benchmark=resolved, dataset=dataset, ids=ids, absent=absent)


def _import_user_rules(benchmark: Benchmark) -> None:
    """Import the user's own functions that the benchmark names, so that errors come early."""
    rules = [
        ("crop", benchmark.input_crop),
        ("crop", benchmark.crop),
        ("mask", benchmark.mask or ""),
        ("interpolation", benchmark.interpolation),
        *(("fit", method) for method in benchmark.alignment.values()),
    ]
    for rule_kind, rule in rules:
        if is_import_path(rule):
            find_rule(rule, rule_kind)


def _override_alignment_and_invalid(
    benchmark: Benchmark, method: AlignMethod | CodePlace | None, invalid: Invalid | None
) -> Benchmark:
    """Apply the alignment and the rule for invalid pixels that the user chose to a benchmark."""
    alignment = dict(benchmark.alignment)
    if method is not None:
        if benchmark.task is not Task.DEPTH:
            raise OptionError(
                option="align",
                problem=(
                    f"only applies to depth, but the benchmark '{benchmark.name}' scores "
                    f"{benchmark.task}"
                ),
                hint="leave it out",
            )
        for kind in DepthKind:
            # A function of the user's own may take any kind of depth.
            if isinstance(method, CodePlace) or method in METHODS[kind]:
                alignment[kind] = method
    if invalid is Invalid.FAR and benchmark.task is not Task.DEPTH:
        raise OptionError(
            option="invalid",
            problem=(
                f"far only applies to depth, but the benchmark '{benchmark.name}' scores "
                f"{benchmark.task}: choose skip or refuse"
            ),
        )
    return replace(benchmark, alignment=alignment, invalid=invalid or benchmark.invalid)


def _resolve_benchmark(
    benchmark: Benchmark,
    changed: Benchmark,
    dataset: Dataset,
    method: AlignMethod | CodePlace | None,
) -> Benchmark:
    """Put the dataset into a changed benchmark, and give it a name that lists what differs.

    ``benchmark`` is the published one, ``changed`` has the user's alignment and rule for invalid
    pixels. ``method`` is None if the user did not choose an alignment.
    """
    request, card = dataset.request, dataset.card
    changes = []
    # A benchmark for any dataset has no split or variant of its own that could differ.
    if benchmark.dataset:
        if request.split != (benchmark.split or card.splits[0]):
            changes.append(f"split={request.split}")
        if request.variant != (benchmark.variant or card.variants[0]):
            changes.append(f"variant={request.variant}")
    if method is not None:
        changes.append(str(method))
    if changed.invalid is not benchmark.invalid:
        changes.append(f"invalid-{changed.invalid}")
    return replace(
        changed,
        name="+".join([benchmark.name, *changes]),
        dataset=request.name,
        split=request.split,
        variant=request.variant,
    )


def _choose_dataset(benchmark: Benchmark, requested: str | None) -> str:
    """Return the name of the dataset to evaluate on.

    Some benchmarks are defined on one dataset. For the others, the user has to choose one.

    Raises:
        OptionError: If the user chose no dataset, or one that the benchmark does not use.
    """
    if benchmark.dataset is not None:
        if requested not in (None, benchmark.dataset):
            raise OptionError(
                f"the benchmark '{benchmark.name}' uses the dataset '{benchmark.dataset}', not "
                f"'{requested}'; the benchmarks 'depth' and 'normals' work with any dataset"
            )
        return benchmark.dataset
    if requested is None:
        raise OptionError(
            problem=Text(
                f"the benchmark '{benchmark.name}' works with any dataset: choose one with ",
                OptionName("dataset"),
                " ('rilievo datasets' lists them; 'folder' reads a folder of your own)",
            ),
        )
    return requested
