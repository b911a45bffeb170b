"""Names of models in tables, reports and messages."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path


def shown_model_name(model: str) -> str:
    """Name of a model as tables show it: the last component of an absolute path.

    Records name a model from the user's disk, such as a training run, by its absolute path. Most of
    that path describes the machine, and not the model.

    Examples:
        >>> shown_model_name("/home/me/runs/rooms"), shown_model_name("moge-2/small")
        ('rooms', 'moge-2/small')
    """
    return _last_components(model, 1)


def shown_model_names(models: Iterable[str]) -> dict[str, str]:
    """Names of several models as tables show them, by their recorded names.

    Paths with the same last component get as many folders above it as tell them apart.

    Examples:
        >>> list(shown_model_names(["/runs/a/rooms", "/runs/b/rooms", "small"]).values())
        ['a/rooms', 'b/rooms', 'small']
    """
    names = {model: shown_model_name(model) for model in models}
    max_components = max((len(Path(model).parts) for model in names), default=1)
    for num_components in range(2, max_components + 1):
        counts = Counter(names.values())
        for model, name in names.items():
            if counts[name] > 1:
                names[model] = _last_components(model, num_components)
    return names


def _last_components(model: str, count: int) -> str:
    """Cut an absolute path to its last components. Other names stay whole."""
    path = Path(model)
    return str(Path(*path.parts[-count:])) if path.is_absolute() else model
