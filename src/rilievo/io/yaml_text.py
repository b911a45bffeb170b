"""YAML that users write."""

from typing import Any

_MAX_CHARACTERS = 2**17
"""Longest text, which takes half a second at most, because YAML needs up to 3 s per megabyte."""
_MAX_VALUES = 100_000
"""Most values in a text; each counts as often as it is referenced."""


def parse_yaml(text: str) -> Any:
    """Parse YAML, with libyaml if PyYAML was built with it.

    Raises:
        ModuleNotFoundError: If PyYAML is not installed.
        ValueError: If it is not YAML, too long, or has references that expand to too many values.
    """
    import yaml

    if len(text) > _MAX_CHARACTERS:
        raise ValueError(
            f"it has {len(text):,} characters; expected at most {_MAX_CHARACTERS:,}, because YAML "
            "is meant for descriptions: use JSON or CSV for long lists"
        )
    try:
        content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError, AttributeError, TypeError) as error:
        raise ValueError(" ".join(str(error).split())) from error
    _check_value_count(content)
    return content


def _check_value_count(content: Any) -> None:
    """Raise ``ValueError`` if values contain themselves, or references expand to too many."""
    nodes = [content]
    value_count = 0
    while nodes:
        node = nodes.pop()
        value_count += 1
        if value_count > _MAX_VALUES:
            raise ValueError(
                f"it has more than {_MAX_VALUES} values, or a value that contains itself"
            )
        if isinstance(node, dict):
            nodes.extend(node.values())
        elif isinstance(node, (list, tuple, set)):
            nodes.extend(node)
