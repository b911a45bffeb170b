"""YAML of files that users write, read without making objects and without unfolding for ever."""

from typing import Any

_MOST = 100_000
"""Values of one file, each counted as often as it is referred to."""


def parse_yaml(text: str) -> Any:
    """What a text of YAML holds: texts, numbers, dates, lists and tables.

    A few lines can refer to each other so that they stand for billions of values, or for
    themselves; such a text is refused before anybody goes through them.

    Raises:
        ValueError: If it is no YAML, is nested too deep, or holds more than 100,000 values.
        ModuleNotFoundError: If PyYAML is not installed.
    """
    import yaml

    try:
        held = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, AttributeError, TypeError) as error:
        raise ValueError(" ".join(str(error).split())) from error
    _refuse_endless(held)
    return held


def _refuse_endless(held: Any) -> None:
    waiting, count = [held], 0
    while waiting:
        each = waiting.pop()
        count += 1
        if count > _MOST:
            raise ValueError(f"more than {_MOST} values, or one that holds itself")
        if isinstance(each, dict):
            waiting.extend(each.values())
        elif isinstance(each, (list, tuple, set)):
            waiting.extend(each)
