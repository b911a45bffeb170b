"""Checks of arguments against signatures."""

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from inspect import signature
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from rilievo.errors import OptionError

_WORDS = {str: "a text", Path: "a path", Iterable: "a list"}


def check_arguments(
    call: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> None:
    """Check arguments that are texts, paths, lists or classes of rilievo.

    Raises:
        OptionError: If an argument is of another type.
    """
    parameters = signature(call).parameters
    for name, value in {**dict(zip(parameters, args, strict=False)), **kwargs}.items():
        kinds = _parameter_classes(call).get(name)
        if kinds and not isinstance(value, kinds):
            words = [_class_in_words(kind) for kind in kinds if kind is not NoneType]
            raise OptionError(
                option=name,
                value=type(value),
                expected=" or ".join(dict.fromkeys(words)),
                hint=f"the call is {call.__name__}({', '.join(parameters)})",
            )


def _class_in_words(kind: type) -> str:
    name = kind.__name__
    return _WORDS.get(kind) or f"{'an' if name[0] in 'AEIO' else 'a'} {name}"


@cache
def _parameter_classes(call: Callable[..., Any]) -> Mapping[str, tuple[type, ...]]:
    try:
        hints = get_type_hints(call)
    except NameError:  # a type that only type checkers import
        return {}
    taken: dict[str, tuple[type, ...]] = {}
    for name, hint in hints.items():
        is_union = get_origin(hint) in (Union, UnionType)
        kinds = [_checkable_class(kind) for kind in (get_args(hint) if is_union else (hint,))]
        classes = tuple(kind for kind in kinds if kind is not None)
        if len(classes) == len(kinds):
            taken[name] = classes
    return taken


def _checkable_class(kind: Any) -> type | None:
    """Class that arguments are checked against; None for others."""
    origin = get_origin(kind)
    if origin is not None:
        is_list = isinstance(origin, type) and issubclass(origin, Iterable)
        return Iterable if is_list and not issubclass(origin, Mapping) else None
    if kind in (str, Path, NoneType):
        return kind
    is_ours = isinstance(kind, type) and kind.__module__.partition(".")[0] == "rilievo"
    return kind if is_ours and not getattr(kind, "_is_protocol", False) else None
