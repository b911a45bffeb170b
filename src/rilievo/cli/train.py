"""``rilievo train``, with a subcommand for each kind of training."""

from collections.abc import Mapping, Sequence

from rilievo.cli.parsing import parse
from rilievo.cli.streams import printing
from rilievo.errors import OptionError, suggest

KINDS: Mapping[str, str] = {
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
    return _train(name, arguments[1:])


def _train(name: str, arguments: Sequence[str]) -> int:
    if name == "video":
        from rilievo.cli.train_video import main as train_video

        return train_video(arguments)
    from rilievo.train.probe.options import ProbeOptions, SupervisedOptions

    kind = ProbeOptions if name == "probe" else SupervisedOptions
    given = parse(
        kind,
        arguments,
        prog=f"rilievo train {name}",
        description=f"Train {KINDS[name]}.",
    )
    config = given.config
    from rilievo.train.probe.run import train_probe
    from rilievo.train.probe.run_page import page_line

    record = train_probe(config, given.output, given.run_options)
    assert record is not None, "nothing stops it before its end"
    page = page_line(given.output, record)
    with printing():
        print(
            f"{given.output}: {record.steps} steps on {record.images} images, "
            f"{record.cpu_seconds:.0f} CPU seconds; the loss of the last epoch is {record.loss:.4g}"
        )
        if record.passed_over:
            print(
                f"{record.passed_over} images have no valid pixel and taught nothing: "
                f"{', '.join(record.passed_over_ids[:5])}"
            )
        for doubt in record.doubts:
            print(f"warning: {doubt}")
        print(page)
        if record.doubts:
            print("next: more epochs, another learning rate or more images; exit code 1")
    return 1 if record.doubts else 0
