"""Switches that may have a word after "=", such as ``--resume`` or ``--resume=hash``."""

from typing import Any, Literal, get_args, get_origin


def switch_words(kind: Any) -> tuple[str, ...]:
    """Words that a switch may have; none for other types than ``bool | Literal[...]``."""
    choices = get_args(kind)
    if len(choices) != 2 or choices[0] is not bool or get_origin(choices[1]) is not Literal:
        return ()
    return get_args(choices[1])
