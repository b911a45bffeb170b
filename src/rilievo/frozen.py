"""Decorator of records."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, fields, is_dataclass
from operator import attrgetter
from typing import Any, TypeVar, dataclass_transform, overload

Record = TypeVar("Record", bound=type[Any])


@overload
def frozen(record: Record, /) -> Record: ...
@overload
def frozen(
    *, slots: bool = True, kw_only: bool = True, init: bool = True
) -> Callable[[Record], Record]: ...
@dataclass_transform(frozen_default=True, kw_only_default=True)
def frozen(
    record: Any = None, /, *, slots: bool = True, kw_only: bool = True, init: bool = True
) -> Any:
    """Make a class a frozen dataclass with slots and keywords.

    ``dataclass(frozen=True)`` compiles six functions for each record, a quarter of the time of
    ``import rilievo.predict``; here they are shared, or compiled at their first use.

    >>> @frozen
    ... class Size:
    ...     height: int
    ...     width: int
    >>> Size(height=480, width=640)
    Size(height=480, width=640)
    """
    if record is None:
        return lambda record: _frozen_dataclass(record, slots=slots, kw_only=kw_only, init=init)
    return _frozen_dataclass(record, slots=slots, kw_only=kw_only, init=init)


def _frozen_dataclass(record: Any, *, slots: bool, kw_only: bool, init: bool) -> Any:
    own = vars(record)
    inherits = any(map(is_dataclass, record.__bases__))
    made: Any = dataclass(
        frozen=inherits, slots=slots, kw_only=kw_only, init=False, eq=False, repr=False
    )(record)
    if init and "__init__" not in own:
        made.__dataclass_params__.init = True
        made.__init__ = _InitAtFirstUse(made, frozen=inherits)
    if not inherits:
        # Only dataclasses that say that they are frozen can inherit from it.
        made.__dataclass_params__.frozen = True
        made.__setattr__ = _set_once if slots else _set_once_in_dict
        made.__delattr__ = _refuse_deletion
    if "__repr__" not in own:
        made.__repr__ = _repr_text
    values = _values_getter([field.name for field in fields(made) if field.compare])
    if "__eq__" not in own:
        made.__eq__ = _equality(values)
    if own.get("__hash__") is None:
        made.__hash__ = lambda self: hash(values(self))
    return made


class _InitAtFirstUse:
    def __init__(self, record: Any, *, frozen: bool) -> None:
        self._record, self._frozen = record, frozen

    def __get__(self, instance: object, owner: type) -> Any:
        record = self._record
        names: dict[str, Any] = {field.name: field for field in fields(record)}
        names["__annotations__"] = {name: field.type for name, field in names.items()}
        names |= {name: getattr(record, name) for name in ("__module__", "__qualname__", "__doc__")}
        if hasattr(record, "__post_init__"):
            names["__post_init__"] = record.__post_init__
        twin = type(record.__name__, (), names)
        dataclass(frozen=self._frozen, eq=False, repr=False, match_args=False)(twin)
        compiled = vars(twin)["__init__"]
        record.__init__ = compiled
        return compiled.__get__(instance, owner)


def _values_getter(names: list[str]) -> Callable[[Any], object]:
    if not names:
        return type
    value = attrgetter(*names)
    return value if len(names) > 1 else lambda self: (value(self),)


def _set_once(self: Any, name: str, value: object) -> None:
    if name not in self.__dataclass_fields__ or hasattr(self, name):
        raise FrozenInstanceError(f"cannot assign to field {name!r}")
    object.__setattr__(self, name, value)


def _set_once_in_dict(self: Any, name: str, value: object) -> None:
    # Defaults are values of the class, so hasattr knows nothing here.
    if name not in self.__dataclass_fields__ or name in vars(self):
        raise FrozenInstanceError(f"cannot assign to field {name!r}")
    object.__setattr__(self, name, value)


def _refuse_deletion(self: object, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")


def _repr_text(self: Any) -> str:
    values = (f"{field.name}={getattr(self, field.name)!r}" for field in fields(self) if field.repr)
    return f"{type(self).__qualname__}({', '.join(values)})"


def _equality(values: Callable[[Any], object]) -> Callable[[object, object], bool]:
    def equal(self: object, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return values(self) == values(other)

    return equal
