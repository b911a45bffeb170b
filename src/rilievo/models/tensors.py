"""Check the tensors of a checkpoint against those of its network."""

import warnings
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rilievo.errors import ModelError
from rilievo.io.limits import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorReport:
    """Differences between a checkpoint's tensors and those of its network, by name.

    Attributes:
        missing: Tensors that only the network has.
        extra: Tensors that only the checkpoint has.
        misshapen: Tensors of both with different shapes, which are listed too.
    """

    missing: Sequence[str]
    extra: Sequence[str]
    misshapen: Sequence[str]


def tensor_report(
    missing: Collection[str],
    extra: Collection[str],
    misshapen: Iterable[Sequence[Any]],
    *,
    prefix: str = "",
) -> TensorReport:
    """Make a sorted report from the output of transformers' and diffusers' loaders.

    Args:
        missing: Names of missing tensors.
        extra: Names of extra tensors.
        misshapen: Name, found shape and expected shape of each tensor with the wrong shape.
        prefix: Prefix for the names: the part of a pipeline.
    """
    return TensorReport(
        missing=sorted(prefix + name for name in missing),
        extra=sorted(prefix + name for name in extra),
        misshapen=sorted(
            f"{prefix}{name} {tuple(found)} instead of {tuple(expected)}"
            for name, found, expected in misshapen
        ),
    )


def check_tensors(model: str, report: TensorReport) -> None:
    """Refuse a checkpoint that leaves tensors uninitialised; print a note about unused ones.

    Raises:
        ModelError: If a tensor is missing or has another shape.
    """
    wrong = [
        f"{words}: {_some(names)}"
        for words, names in (("missing", report.missing), ("misshapen", report.misshapen))
        if names
    ]
    extra = [f"extra: {_some(report.extra)}"] if report.extra else []
    if wrong:
        raise ModelError(
            f"model '{model}': its weights do not fit its configuration: "
            + "; ".join([*wrong, *extra])
        )
    if extra:
        warnings.warn(f"model '{model}' has unused tensors, {extra[0]}", stacklevel=4)


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(printable, names[:3])) + rest
