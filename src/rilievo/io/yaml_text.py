"""YAML that users write."""

from typing import Any

# Values count as often as they are referenced.
_MOST = 100_000


def parse_yaml(text: str) -> Any:
    """Parse YAML; references that stand for billions of values are refused."""
    import yaml

    try:
        held = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, AttributeError, TypeError) as error:
        raise ValueError(" ".join(str(error).split())) from error
    _refuse_endless_yaml(held)
    return held


def _refuse_endless_yaml(held: Any) -> None:
    waiting, count = [held], 0
    while waiting:
        node = waiting.pop()
        count += 1
        if count > _MOST:
            raise ValueError(f"more than {_MOST} values, or one that contains itself")
        if isinstance(node, dict):
            waiting.extend(node.values())
        elif isinstance(node, (list, tuple, set)):
            waiting.extend(node)
