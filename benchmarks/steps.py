"""Training steps against their plain form, and the operators that they consist of."""

from typing import Any

from benchmarks.measure import answer_of, in_turns, spread
from benchmarks.report import Bar, Report, Table
from benchmarks.settings import Settings

KINDS = {
    "video": "Monodepth2, batch 4",
    "probe": "Probe3D's DPT, batch 1",
}
SIDES = ("rilievo", "plain")
MOST = 0.5
"""Share of the plain form's CPU time."""
_LISTED = 8


def run(settings: Settings) -> Report:
    steps, rounds = str(settings.count(2, quick=1)), settings.count(2, quick=1)
    options = ["--quick"] if settings.quick else []

    def measured(kind: str, side: str) -> Any:
        return answer_of("training_step", kind, side, steps, *options)

    answers = {
        kind: in_turns(
            {side: lambda kind=kind, side=side: measured(kind, side) for side in SIDES},
            rounds=rounds,
            warm_up=False,
        )
        for kind in KINDS
    }
    return Report(
        name="steps",
        about=(
            "If you train a network on a CPU, most of the time goes into training steps. In each "
            "step, the network makes a prediction, computes the gradient of its error, and "
            "adjusts its weights. This benchmark measures the CPU time of one step on one thread "
            "in float32. The time to load the data does not count, and neither does the first "
            "step.\n\n"
            "We measure two kinds of training:\n\n"
            "- **Training on video**, with the networks of Monodepth2: 640x192 pixels, ResNet-18 "
            "for depth and for motion, two sources, four scales.\n"
            "- **Training a probe** (a small network that reads the features of a large one), "
            "with Probe3D's DPT probe: 480x480 pixels, ready-made features of ViT-S/14.\n\n"
            "Our code for training on video and for training probes is optimised for speed. To "
            "show what this is worth, `benchmarks/plain_steps.py` trains the same networks with "
            "plain code, as you would first write it. The plain code computes full-size maps, "
            "stores channels first, and leaves every gradient to PyTorch's autograd.\n\n"
            "Where does a training step spend its time? The tables of operators show how much CPU "
            "time each operation takes in one training step of rilievo, for example a "
            "convolution. The times cover both the prediction of the network and the computation "
            "of gradients."
        ),
        tables=(_costs(answers), *(_operators(kind, answers[kind]) for kind in KINDS)),
        bars=tuple(_bar(kind, answers[kind]) for kind in KINDS),
    )


def _seconds(answers: list[Any]) -> list[float]:
    return [each for answer in answers for each in answer["seconds"]]


def _costs(answers: dict[str, dict[str, list[Any]]]) -> Table:
    return Table(
        columns=("step", "CPU s", "peak MB"),
        rows=[
            (
                f"{KINDS[kind]}: {side}",
                str(spread(_seconds(found))),
                f"{max(answer['peak'] for answer in found):.0f}",
            )
            for kind, sides in answers.items()
            for side, found in sides.items()
        ],
    )


def _operators(kind: str, sides: dict[str, list[Any]]) -> Table:
    seconds: dict[str, float] = sides["rilievo"][-1]["operators"]
    listed = sorted(seconds.items(), key=lambda entry: -entry[1])[:_LISTED]
    total = sum(seconds.values())
    others = total - sum(each for _, each in listed)
    return Table(
        columns=(f"operator of {KINDS[kind]}", "CPU ms", "share"),
        rows=[
            (name, f"{1e3 * each:.0f}", f"{each / total:.0%}")
            for name, each in [*listed, (f"{len(seconds) - len(listed)} others", others)]
        ],
    )


def _bar(kind: str, sides: dict[str, list[Any]]) -> Bar:
    ours, plain = (spread(_seconds(sides[side])).median for side in SIDES)
    return Bar(
        promise=f"{KINDS[kind]}: at most {MOST:g} of the plain form's CPU time",
        measured=f"{ours / plain:.2f}",
        kept=ours <= MOST * plain,
    )
