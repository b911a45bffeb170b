"""The benchmark behind a result, found again by the hash of its settings."""

from dataclasses import replace

from rilievo.errors import OptionError
from rilievo.evaluate.benchmark import Benchmark, benchmark_sha256
from rilievo.evaluate.benchmarks import find_benchmark
from rilievo.evaluate.records import Evaluation

_CHANGED = "nobody's numbers: one of the settings is not the benchmark's own"


def card_of(evaluation: Evaluation) -> Benchmark | None:
    """What the benchmark's authors say of it; None where rilievo does not know it.

    A result whose settings were changed, as ``nyuv2-eigen+log`` has another alignment, keeps what
    the benchmark hides, but reproduces nobody's numbers, and published rows do not go with it.
    """
    own, _, change = evaluation.benchmark.partition("+")
    try:
        card = find_benchmark(own)
    except OptionError:
        return None
    if benchmark_sha256(card) == evaluation.benchmark_sha256:
        return card
    return replace(card, reproduces=_CHANGED, published=()) if change else None
