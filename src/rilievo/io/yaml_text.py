"""YAML that users write."""

from typing import Any

_MAX_CHARACTERS = 2**17
"""Longest text. The slowest takes half a CPU second, as YAML costs up to 3 CPU-s a megabyte."""
_MAX_VALUES = 100_000
"""Most values; each counts as often as it is referenced."""


def parse_yaml(text: str) -> Any:
    """Parse YAML, by libyaml where PyYAML was built with it.

    Raises:
        ModuleNotFoundError: If PyYAML is not installed.
        ValueError: If it is no YAML, too long, or has references that stand for billions of values.
    """
    import yaml

    if len(text) > _MAX_CHARACTERS:
        raise ValueError(
            f"it has {len(text):,} characters, expected at most {_MAX_CHARACTERS:,}: YAML is for "
            "descriptions, and long lists are read from JSON or CSV"
        )
    try:
        content = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except (yaml.YAMLError, RecursionError, AttributeError, TypeError) as error:
        raise ValueError(" ".join(str(error).split())) from error
    _refuse_endless_content(content)
    return content


def _refuse_endless_content(content: Any) -> None:
    """Refuse values that contain themselves, or stand for very many by references."""
    nodes, count = [content], 0
    while nodes:
        node = nodes.pop()
        count += 1
        if count > _MAX_VALUES:
            raise ValueError(f"more than {_MAX_VALUES} values, or one that contains itself")
        if isinstance(node, dict):
            nodes.extend(node.values())
        elif isinstance(node, (list, tuple, set)):
            nodes.extend(node)
