"""Decorator of records: classes with named values that do not change."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, fields, is_dataclass
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform

Record = TypeVar("Record", bound=type[Any])


@dataclass_transform(frozen_default=True, kw_only_default=True)
def frozen(record: Record) -> Record:
    """Make a class a dataclass that is frozen and has slots, with keywords for all its fields.

    ``dataclass(frozen=True)`` compiles six functions for each record, a quarter of the time of
    ``import rilievo.predict``. Here only ``__init__`` is compiled; all records share the others.

    >>> @frozen
    ... class Size:
    ...     height: int
    ...     width: int
    >>> Size(height=480, width=640)
    Size(height=480, width=640)
    """
    if any(map(is_dataclass, record.__bases__)):
        inherited: Any = dataclass(frozen=True, slots=True, kw_only=True)(record)
        return inherited
    own = vars(record)
    made: Any = dataclass(slots=True, kw_only=True, eq=False, repr=False)(record)
    # Only dataclasses that say that they are frozen can inherit from it.
    made.__dataclass_params__.frozen = True
    made.__setattr__, made.__delattr__ = _set_once, _refuse
    if "__repr__" not in own:
        made.__repr__ = _text
    names = [field.name for field in fields(made) if field.compare]
    values = attrgetter(*names) if names else type
    if "__eq__" not in own:
        made.__eq__ = _equality(values)
    if own.get("__hash__") is None:
        made.__hash__ = lambda self: hash(values(self))
    return made


def _set_once(self: Any, name: str, value: object) -> None:
    if name not in self.__dataclass_fields__ or hasattr(self, name):
        raise FrozenInstanceError(f"cannot assign to field {name!r}")
    object.__setattr__(self, name, value)


def _refuse(self: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _text(self: Any) -> str:
    values = (f"{field.name}={getattr(self, field.name)!r}" for field in fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(values)})"


def _equality(values: Callable[[Any], object]) -> Callable[[object, object], bool]:
    """``__eq__`` of records with these values."""

    def equal(self: object, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return values(self) == values(other)

    return equal
