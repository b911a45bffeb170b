"""Command ``rilievo view``, which shows predictions and ground truth in FiftyOne."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated

from rilievo.cli.parsing import parse
from rilievo.cli.streams import fault_lines, printing, say
from rilievo.errors.messages import count_text
from rilievo.evaluation.options import ignore_pillow_warnings
from rilievo.evaluation.views.fiftyone import FilledView, fill_view, open_app
from rilievo.evaluation.views.view_options import SourceOptions, ViewOptions
from rilievo.schema.fields import option


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    targets: Annotated[tuple[str, ...], option(positional=True, metavar="TARGET")] = ()
    """Folders that 'rilievo evaluate' or 'rilievo predict' wrote (give several to see models side
    by side), or the name of a dataset.
    """
    source: Annotated[SourceOptions, option(inline=True)]
    options: Annotated[ViewOptions, option(inline=True)]


def main(arguments: Sequence[str]) -> int:
    """Show a dataset, predictions or evaluations in FiftyOne, and return 1 if some are missing."""
    ignore_pillow_warnings()
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo view",
        description="Show a dataset, predictions or evaluations in FiftyOne.",
        examples=(
            "rilievo view nyuv2 --root nyu/",
            "rilievo view small theirs",
        ),
    )
    view = fill_view(request.targets, request.source, request.options)
    with printing():
        say("\n".join(_view_lines(view)))
    if request.options.app:
        with printing():
            say(
                f"the app is at http://localhost:{request.options.port} (press Ctrl-C to stop it)",
                flush=True,
            )
        open_app(view.name, request.options.port)
    return 1 if view.failed or view.faults else 0


def _view_lines(view: FilledView) -> Iterator[str]:
    models = ", ".join(view.models) or "no model"
    yield f"FiftyOne dataset '{view.name}': {count_text(view.image_count, 'image')}, {models}"
    yield from (f"saved view: {name}" for name in view.views)
    yield from fault_lines(view.failed, view.faults)
    yield f"its pictures are in {view.folder}; keep them as long as you use the dataset"
