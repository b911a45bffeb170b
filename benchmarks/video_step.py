"""One step of training on video, against the most direct form of it: from scratch, and ``clip``."""

from typing import NamedTuple

from benchmarks.measure import answer_of
from benchmarks.report import Bar, Report, Table
from benchmarks.settings import Settings

_CLIP_SIDES = {
    "apart": "norms as layers",
    "ours": "ours",
    "bf16": "ours, networks in bfloat16",
    "ours+replay": "ours, with pictures of other places",
}
_SIDES = {"plain": "direct form", "ours": "ours", "bf16": "ours, networks in bfloat16"}


class _Step(NamedTuple):
    """Least CPU and wall time [s], most memory [MB] of a process, and the first loss."""

    loss: float
    cpu: float
    wall: float
    peak: float


def run(settings: Settings) -> Report:
    batch, rounds = settings.count(4, quick=1), settings.count(5, quick=1)
    one = _steps(batch, rounds, 1, *_SIDES)
    two = _steps(batch, rounds, 2, *_SIDES)
    alone = {side: _steps(batch, 1, 2, side)[side] for side in _SIDES}
    clip = answer_of("clip_turns", str(batch), str(rounds), *_CLIP_SIDES)
    return Report(
        name="video_step",
        about=(
            f"A training step on video: ResNet-18 for depth and pose, {batch} times three frames "
            "of 192x640, four scales, Adam. The sides take turns in one process, with one thread "
            "(the CPU time) and with two (the wall time); least of "
            f"{rounds}. Memory is that of a process of its own. The direct form computes SSIM "
            "sixteen times. A step of the preset clip (second table) has three frames of 224x288, "
            "rilievo/small with fixed norms, known motion and corners, one thread."
        ),
        tables=(
            Table(
                columns=("step", "CPU s, 1 thread", "wall s, 2 threads", "peak MB", "loss"),
                rows=[
                    (
                        name,
                        f"{one[side].cpu:.2f}",
                        f"{two[side].wall:.2f}",
                        f"{alone[side].peak:.0f}",
                        f"{one[side].loss:.6f}",
                    )
                    for side, name in _SIDES.items()
                ],
            ),
            Table(
                columns=("step of clip", "CPU s, 1 thread", "loss"),
                rows=[
                    (name, f"{clip[side]['cpu']:.3f}", f"{clip[side]['loss']:.6f}")
                    for side, name in _CLIP_SIDES.items()
                ],
            ),
        ),
        bars=(*_bars(one, two, alone), *_clip_bars(clip)),
    )


def _steps(batch: int, rounds: int, threads: int, *sides: str) -> dict[str, _Step]:
    found = answer_of("video_turns", str(batch), str(rounds), str(threads), *sides)
    return {side: _Step(**figures) for side, figures in found.items()}


def _bars(one: dict[str, _Step], two: dict[str, _Step], alone: dict[str, _Step]) -> tuple[Bar, ...]:
    apart = abs(one["ours"].loss - one["plain"].loss)
    return (
        Bar(promise="the same loss to 1e-5", measured=f"{apart:.1e}", kept=apart <= 1e-5),
        _ratio("of the CPU time", one["ours"].cpu, one["plain"].cpu, 0.65),
        _ratio("of the wall time on two threads", two["ours"].wall, two["plain"].wall, 0.65),
        _ratio("of the CPU time in bfloat16", one["bf16"].cpu, one["plain"].cpu, 0.4),
        _ratio("of the memory", alone["ours"].peak, alone["plain"].peak, 0.7),
    )


def _clip_bars(found: dict[str, dict[str, float]]) -> tuple[Bar, ...]:
    off = abs(found["ours"]["loss"] - found["apart"]["loss"])
    cpu = {side: each["cpu"] for side, each in found.items()}
    return (
        Bar(
            promise="clip: the same loss to 1e-5",
            measured=f"{off:.1e}",
            kept=off <= 1e-5,
        ),
        _ratio("of the CPU time of clip", cpu["ours"], cpu["apart"], 0.8),
        _ratio("of the CPU time of clip in bfloat16", cpu["bf16"], cpu["apart"], 0.6),
    )


def _ratio(what: str, ours: float, plain: float, most: float) -> Bar:
    return Bar(
        promise=f"at most {most:.2f} {what}",
        measured=f"{ours / plain:.3f}",
        kept=ours / plain <= most,
    )
