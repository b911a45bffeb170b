"""Predictions scored by exact, named protocols.

The package is its own verb: ``rilievo.evaluate(model, benchmark, root)`` is
``rilievo.evaluate.run.evaluate``. A function in its place would hide the modules below it.
"""

import sys
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rilievo.evaluate.benchmark import Benchmark
    from rilievo.evaluate.options import EvaluateOptions
    from rilievo.evaluate.records import Evaluation
    from rilievo.models.base import Model


class _Verb(ModuleType):
    def __call__(
        self,
        model: "Model | str | Path | None",
        benchmark: "Benchmark | str",
        root: str | Path,
        options: "EvaluateOptions | None" = None,
        *,
        show: bool = True,
    ) -> "Evaluation":
        """Call ``rilievo.evaluate.run.evaluate``."""
        from rilievo.evaluate.run import evaluate

        return evaluate(model, benchmark, root, options, show=show)


sys.modules[__name__].__class__ = _Verb
evaluate = sys.modules[__name__]
