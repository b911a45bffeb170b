"""``rilievo probe correspondence``."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from rilievo.cli.parsing import parse
from rilievo.cli.streams import printing, say
from rilievo.errors.messages import count_text, for_terminal
from rilievo.schema.fields import option
from rilievo.training.correspondence.correspondence_config import CorrespondenceOptions


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    HELP_TITLE: ClassVar[str] = "Output"

    options: Annotated[CorrespondenceOptions, option(inline=True)]
    output: Annotated[
        Path | None, option(in_short_help=True, aliases=("-o",), metavar="FOLDER")
    ] = None
    """Folder for correspondence.json, pairs.csv and the tables. By default, the table is only
    printed.
    """


def main(arguments: Sequence[str]) -> int:
    """Score correspondence between views; return 1 if a pair has no score, else 0."""
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo probe correspondence",
        description="Match the features of frozen backbones between two views of an object or a "
        "room, and count the correct matches by the angle between the views, as Probe3D does. "
        "Nothing is trained.",
        examples=(
            "rilievo probe correspondence -b timm/vit_base_patch14_dinov2 --root navi/",
            "rilievo probe correspondence -b timm/vit_base_patch16_224.mae --dataset scannet-pairs "
            "--root scannet_test_1500/ --preset probe3d -o mae",
        ),
    )
    from rilievo.training.commands.printed_tables import print_table
    from rilievo.training.correspondence.correspondence_run import probe_correspondence

    record = probe_correspondence(request.options, request.output)
    print_table(record.table())
    with printing():
        if record.unscored:
            first = record.unscored[0]
            say(
                f"{count_text(len(record.unscored), 'pair')} could not be scored, for example "
                f"{for_terminal(first.id)}: {for_terminal(first.reason)}"
            )
        if request.output is not None:
            say(f"the tables are in {request.output}")
    return 1 if record.unscored else 0
