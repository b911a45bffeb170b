"""Decorator of records: classes with named values that do not change."""

from dataclasses import dataclass
from typing import Any, TypeVar, dataclass_transform

Record = TypeVar("Record", bound=type[Any])


@dataclass_transform(frozen_default=True, kw_only_default=True)
def frozen(record: Record) -> Record:
    """Make a class a dataclass that is frozen and has slots, with keywords for all its fields.

    >>> @frozen
    ... class Size:
    ...     height: int
    ...     width: int
    >>> Size(height=480, width=640)
    Size(height=480, width=640)
    """
    made: Any = dataclass(frozen=True, slots=True, kw_only=True)(record)
    return made
