"""``rilievo train``, with a subcommand for each kind of training."""

from collections.abc import Mapping, Sequence

from rilievo.cli.streams import printing
from rilievo.errors import OptionError, suggest

KINDS: Mapping[str, str] = {
    "model": "an embedded model, by a recipe, or from another model's answers",
    "probe": "a probe on a frozen backbone, for depth, normals or both",
    "video": "depth and camera motion from videos alone, without any truth",
    "supervised": "a whole network, on photographs with depth, normals or both",
}


def main(arguments: Sequence[str]) -> int:
    """Train a network into a run folder.

    Returns:
        0 when the run came to its end, 1 when it did and learned nothing, 2 for wrong use.
    """
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help"):
        lines = [f"  {kind:<12}{summary}" for kind, summary in KINDS.items()]
        with printing():
            print("\n".join(["usage: rilievo train KIND [OPTIONS]", "", *lines]))
        return 0 if arguments else 2
    if name not in KINDS:
        raise OptionError(f"no kind of training '{name}'; {suggest(name, KINDS)}")
    if name == "model":
        from rilievo.cli.train_model import main as train_model

        return train_model(arguments[1:])
    if name == "video":
        from rilievo.cli.train_video import main as train_video

        return train_video(arguments[1:])
    from rilievo.cli.train_probe import main as train_probe

    return train_probe(name, arguments[1:])
