"""``rilievo train``, with a subcommand for each kind of training."""

from collections.abc import Mapping, Sequence

from rilievo.cli.streams import printing
from rilievo.errors import OptionError, suggest
from rilievo.plugins import load_of_wing

KINDS: Mapping[str, str] = {
    "probe": "a probe on a frozen backbone, for depth, normals or both",
    "video": "depth and camera motion from videos alone, without any truth",
    "supervised": "a whole network, on photographs with depth, normals or both",
    "teacher": "no network: a model's answers for your photographs, for distil to learn from",
    "distil": "a small network, on a teacher's answers",
}
"""Kinds of training, with their summaries."""

_COMMANDS: Mapping[str, str] = {
    "probe": "rilievo.training.commands.train_probe:main",
    "video": "rilievo.training.commands.train_video:main",
    "supervised": "rilievo.training.commands.train_probe:main_supervised",
    "teacher": "rilievo.training.commands.train_teacher:main",
    "distil": "rilievo.training.commands.train_distil:main",
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
    if name not in KINDS:
        raise OptionError(f"no kind of training '{name}'; {suggest(name, KINDS)}")
    return load_of_wing(_COMMANDS[name], f"`rilievo train {name}`")(arguments[1:])
