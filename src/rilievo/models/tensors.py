"""Whether the tensors of a checkpoint are those of its network."""

import warnings
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rilievo.errors import ModelError
from rilievo.io.limits import printable


@dataclass(frozen=True, slots=True, kw_only=True)
class TensorReport:
    """Tensors that did not come from a checkpoint as its network has them, by name.

    Attributes:
        missing: The network has them, the checkpoint has not.
        extra: The checkpoint has them, the network has not.
        misshapen: Both have them, with their two shapes.
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
    """What the loaders of transformers and diffusers tell, sorted.

    Args:
        missing: Names.
        extra: Names.
        misshapen: Of each its name, the shape found and the shape expected.
        prefix: What goes before the names: the part of a pipeline.
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
    """Refuse a checkpoint that leaves some of the network at random; tell of what is left over.

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
        warnings.warn(f"model '{model}' has tensors of no use, {extra[0]}", stacklevel=4)


def _some(names: Sequence[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(printable, names[:3])) + rest
