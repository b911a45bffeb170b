"""Write the tables of the guides from the tables of the program.

    python tools/write_guide_tables.py

A table stands between ``<!-- table NAME -->`` and ``<!-- end -->``. ``make docs`` writes them; a
test sees that no row is out of date.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from rilievo.data.datasets import DATASETS, find_dataset
from rilievo.evaluation.benchmarks import BENCHMARKS
from rilievo.evaluation.benchmarks.benchmark import Benchmark
from rilievo.evaluation.metrics import (
    CAMERA_METRICS,
    CERTAINTY_METRICS,
    DEPTH_METRICS,
    NORMAL_CERTAINTY_METRICS,
    NORMAL_METRICS,
    PICTURE_METRICS,
    POINT_METRICS,
)
from rilievo.evaluation.metrics.boundary import WINDOW_METRICS
from rilievo.evaluation.metrics.metric import AnyMetric, Better
from rilievo.evaluation.metrics.order import ORDER_METRICS
from rilievo.evaluation.metrics.stability import STABILITY_METRICS
from rilievo.geometry.cameras.spelling import LENSES
from rilievo.models.finding import MODEL_KINDS
from rilievo.prediction.output import OUTPUTS
from rilievo.training.networks.backbone_cards import BACKBONES

DOCS = Path(__file__).parents[1] / "docs"
REGION = re.compile(r"(<!-- table (\w+) -->\n)(.*?)(<!-- end -->)", re.DOTALL)
_BETTER = {Better.LOWER: "lower", Better.HIGHER: "higher", Better.ZERO: "near 0"}


def datasets() -> str:
    """Splits, variants and normals of every dataset."""
    rows = []
    for name in DATASETS:
        card = find_dataset(name).card
        splits = [
            f"{split} ({card.counts[split]:,})" if split in card.counts else split
            for split in card.splits
        ]
        rows.append(
            (
                f"`{name}`",
                ", ".join(splits),
                ", ".join(card.variants),
                "yes" if card.normals else "",
            )
        )
    return _table(("name", "splits (images)", "variants", "normals"), rows)


def benchmarks() -> str:
    """Benchmarks with whose numbers they give; ``rilievo benchmarks NAME`` has the rest."""
    rows = [(f"`{each.name}`", each.title, _whose(each)) for each in BENCHMARKS.values()]
    return _table(("name", "computes", "reproduces"), rows)


def _whose(benchmark: Benchmark) -> str:
    """First words of what a benchmark reproduces, up to the details."""
    words = re.split(r"[:;]|[.,] ", benchmark.reproduces, maxsplit=1)[0].removesuffix(".")
    return re.sub(r" \([^)]*$", "", words)


def metrics() -> str:
    """Name, formula and direction of every metric; names that two tables have say of what."""
    rows: list[tuple[str, ...]] = []
    tables = {
        "depth": (DEPTH_METRICS, WINDOW_METRICS, CERTAINTY_METRICS),
        "normals": (NORMAL_METRICS, NORMAL_CERTAINTY_METRICS),
        "pictures": (PICTURE_METRICS,),
        "point maps": (POINT_METRICS,),
        "": (CAMERA_METRICS, ORDER_METRICS, STABILITY_METRICS),
    }
    names = Counter(name for group in tables.values() for table in group for name in table)
    for subject, group in tables.items():
        for metric in (metric for table in group for metric in table.values()):
            rows.append(_metric_row(metric, subject if names[metric.name] > 1 else ""))
    return _table(("name", "in tables", "unit", "better", "formula"), rows)


def _metric_row(metric: AnyMetric, subject: str) -> tuple[str, ...]:
    return (
        f"`{metric.name}`" + (f" of {subject}" if subject else ""),
        metric.label,
        metric.unit,
        _BETTER[metric.better],
        metric.summary,
    )


def outputs() -> str:
    """File, content and mark of missing depth of every output."""
    rows = []
    for name, row in OUTPUTS.own.items():
        extra = f" (extra `{row.extra}`)" if row.extra else ""
        rows.append((f"`{name}`", f"`{row.suffix}`", row.summary + extra, row.invalid or "–"))
    return _table(("`--save`", "file", "holds", "invalid pixels"), rows)


def lenses() -> str:
    """Spellings of every lens, and what depth is along its rays."""
    rows = [
        (f"`{text}`", words, "distance" if row.load_class().has_unit_rays else "z")
        for row in LENSES.values()
        for text, words in row.guide.items()
    ]
    return _table(("text", "lens", "depth is"), rows)


def model_names() -> str:
    """Names of models, in the order in which one is recognised."""
    kinds = [kind for kind in MODEL_KINDS.values() if kind.words]
    rows = [(kind.words, kind.extra and f"extra `{kind.extra}`") for kind in kinds]
    return _table(("name", "needs"), rows)


def backbones() -> str:
    """Backbones that are known by name; ``rilievo models NAME`` has the place of the licence."""
    rows = [
        (
            f"`{card.name}`",
            card.summary,
            "–" if card.parameters is None else f"{card.parameters / 1e6:,.1f} M",
            "–" if card.patch is None else f"{card.patch} px",
            card.licence + (" (non-commercial)" if card.commercial is False else ""),
            card.paper,
        )
        for card in BACKBONES.values()
    ]
    return _table(("`--backbone`", "network", "parameters", "patch", "licence", "paper"), rows)


TABLES: Mapping[str, Callable[[], str]] = {
    "model_names": model_names,
    "backbones": backbones,
    "lenses": lenses,
    "outputs": outputs,
    "datasets": datasets,
    "benchmarks": benchmarks,
    "metrics": metrics,
}


def renewed(text: str) -> str:
    """A guide with its tables made anew."""
    return REGION.sub(lambda found: f"{found[1]}{TABLES[found[2]]()}{found[4]}", text)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "".join(
        "| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |\n" for line in lines
    )


def main() -> None:
    """Renew every page."""
    for path in DOCS.rglob("*.md"):
        text = path.read_text(encoding="utf-8")
        if renewed(text) != text:
            path.write_text(renewed(text), encoding="utf-8")


if __name__ == "__main__":
    main()
