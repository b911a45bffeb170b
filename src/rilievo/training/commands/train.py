"""``rilievo train``, with a subcommand for each kind of training."""

from collections.abc import Mapping, Sequence

from rilievo.cli.streams import printing, say
from rilievo.errors import OptionError, suggest
from rilievo.extensions.subpackages import resolve_name

KINDS: Mapping[str, tuple[str, str]] = {
    "probe": (
        "train_probe:main",
        "Train a probe on a frozen backbone, for depth, normals or both.",
    ),
    "video": (
        "train_video:main",
        "Learn depth and camera motion from videos alone, without ground truth.",
    ),
    "supervised": (
        "train_probe:main_supervised",
        "Train a whole network, on photographs with depth, normals or both.",
    ),
}
"""Function and summary of each kind of training."""
_HELP_BEGINNING = (
    "usage: rilievo train KIND [OPTIONS]",
    "",
    "Train a network that predicts depth, normals or both, on your own images or videos.",
    "",
    "Kinds:",
)
_HELP_END = ("", "To list the options of a kind, run 'rilievo train KIND --help'.")


def main(arguments: Sequence[str]) -> int:
    """Run the subcommand that the first argument names; without arguments, print the help."""
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help", "--all"):
        summaries = [f"  {kind:<12}{summary}" for kind, (_, summary) in KINDS.items()]
        with printing():
            say("\n".join([*_HELP_BEGINNING, *summaries, *_HELP_END]))
        return 0 if arguments else 2
    if name not in KINDS:
        raise OptionError(f"no kind of training '{name}'; {suggest(name, KINDS)}")
    function, _ = KINDS[name]
    return resolve_name(f"rilievo.training.commands.{function}")(arguments[1:])
