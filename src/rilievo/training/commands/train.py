"""``rilievo train``, with a subcommand for each kind of training."""

from collections.abc import Mapping, Sequence

from rilievo.cli.streams import printing
from rilievo.errors import OptionError, suggest
from rilievo.options.removed_options import REMOVED
from rilievo.plugins import load_of_wing

KINDS: Mapping[str, str] = {
    "probe": "a probe on a frozen backbone, for depth, normals or both",
    "video": "depth and camera motion from videos alone, without any truth",
    "supervised": "a whole network, on photographs with depth, normals or both",
}
"""Kinds of training, with their summaries."""

_COMMANDS: Mapping[str, str] = {
    "probe": "rilievo.training.commands.train_probe:main",
    "video": "rilievo.training.commands.train_video:main",
    "supervised": "rilievo.training.commands.train_probe:main_supervised",
}
"""Functions of the kinds, from their arguments to an exit code."""


def main(arguments: Sequence[str]) -> int:
    """Train a network into a run folder; returns 1 when it learned nothing."""
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help"):
        lines = [f"  {kind:<12}{summary}" for kind, summary in KINDS.items()]
        with printing():
            print("\n".join(["usage: rilievo train KIND [OPTIONS]", "", *lines]))
        return 0 if arguments else 2
    if f"train {name}" in REMOVED:
        raise OptionError(f"train {name} {REMOVED[f'train {name}']}")
    if name not in KINDS:
        raise OptionError(f"no kind of training '{name}'; {suggest(name, KINDS)}")
    return load_of_wing(_COMMANDS[name], f"`rilievo train {name}`")(arguments[1:])
