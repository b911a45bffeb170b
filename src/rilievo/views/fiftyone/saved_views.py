"""Saved views: the best and worst images, and those where models disagree."""

from collections.abc import Iterator
from typing import Any

from rilievo.metrics.metric import Better
from rilievo.views.rows import DISAGREEMENT, metric_field
from rilievo.views.view_items import ViewItems

COUNT = 50


def save_views(dataset: Any, items: ViewItems) -> list[str]:
    """Save the views under their names, replacing those of an earlier run.

    Returns:
        Names of the views.
    """
    names = []
    for name, view in _views(dataset, items):
        if dataset.has_saved_view(name):
            dataset.delete_saved_view(name)
        dataset.save_view(name, view)
        names.append(name)
    return names


def _views(dataset: Any, items: ViewItems) -> Iterator[tuple[str, Any]]:
    # In groups, the active slice, the photographs, is sorted; their surfaces stay with them.
    everything = dataset.view()
    for column in items.columns:
        if not column.summaries:
            continue
        leading = column.summaries[0]
        field = metric_field(column, leading.metric)
        having = everything.exists(field)
        for word, down in (("worst", True), ("best", False)):
            if leading.better is Better.HIGHER:
                down = not down
            view = having.sort_by(field, reverse=down).limit(COUNT)
            yield f"{word} {COUNT}, {leading.label} of {column.label}", view
    if len(items.columns) > 1:
        having = everything.exists(DISAGREEMENT)
        yield "largest disagreement", having.sort_by(DISAGREEMENT, reverse=True).limit(COUNT)
