"""YAML that users write."""

from typing import Any

_MOST_CHARACTERS = 2**17
"""Longest text. The slowest takes half a CPU second, as YAML costs up to 3 CPU-s a megabyte."""
# Values count as often as they are referenced.
_MOST_VALUES = 100_000


def parse_yaml(text: str) -> Any:
    """Parse YAML by libyaml where it is.

    Raises:
        ModuleNotFoundError: If PyYAML is not installed.
        ValueError: If it is no YAML, too long, or has references that stand for billions of values.
    """
    import yaml

    if len(text) > _MOST_CHARACTERS:
        raise ValueError(
            f"it has {len(text):,} characters, expected at most {_MOST_CHARACTERS:,}: YAML is for "
            "descriptions, and long lists are read from JSON or CSV"
        )
    try:
        held = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError, AttributeError, TypeError) as error:
        raise ValueError(" ".join(str(error).split())) from error
    _refuse_endless_yaml(held)
    return held


def _refuse_endless_yaml(held: Any) -> None:
    waiting, count = [held], 0
    while waiting:
        node = waiting.pop()
        count += 1
        if count > _MOST_VALUES:
            raise ValueError(f"more than {_MOST_VALUES} values, or one that contains itself")
        if isinstance(node, dict):
            waiting.extend(node.values())
        elif isinstance(node, (list, tuple, set)):
            waiting.extend(node)
