"""One training step of the DPT probe and of the light one, against the most direct form."""

from pathlib import Path
from typing import NamedTuple

from benchmarks.measure import answer_of
from benchmarks.report import Bar, Report, Table
from benchmarks.settings import Settings

_SIDES = {
    "plain": "DPT probe, direct form",
    "ours": "DPT probe",
    "bf16": "DPT probe, bfloat16",
    "light": "light probe",
}


class _Step(NamedTuple):
    """CPU time [s], most memory [MB] of the process, and the loss."""

    cpu: float
    peak: float
    loss: float


def run(settings: Settings) -> Report:
    batch = settings.count(2, quick=1)
    steps = {
        side: _Step(**answer_of("probe_step", side, str(batch), settings.work / f"{side}.pt"))
        for side in _SIDES
    }
    return Report(
        name="probe",
        about=(
            f"Forward and backward pass of a depth probe of 256 bins on features as a ViT-S/14 "
            f"gives of {batch} photographs of 480 pixels a side, one thread, a process each. The "
            "direct form keeps whole maps and repeats the class token."
        ),
        tables=(_table(steps),),
        bars=_bars(steps, settings.work),
    )


def _table(steps: dict[str, _Step]) -> Table:
    return Table(
        columns=("probe", "CPU s", "peak MB", "loss"),
        rows=[
            (_SIDES[side], f"{step.cpu:.1f}", f"{step.peak:.0f}", f"{step.loss:.5f}")
            for side, step in steps.items()
        ],
    )


def _bars(steps: dict[str, _Step], work: Path) -> tuple[Bar, ...]:
    plain, ours = steps["plain"], steps["ours"]
    apart = abs(ours.loss / plain.loss - 1)
    gradients = _difference(work / "plain.pt", work / "ours.pt")
    return (
        Bar(
            promise="the same loss and gradients to 1e-4 of their size",
            measured=f"{apart:.1e} and {gradients:.1e}",
            kept=max(apart, gradients) <= 1e-4,
        ),
        _ratio("of the CPU time", ours.cpu, plain.cpu, 0.85),
        _ratio("of the memory", ours.peak, plain.peak, 1 / 3),
        _ratio("of the CPU time in bfloat16", steps["bf16"].cpu, plain.cpu, 0.45),
        _ratio("of the CPU time with the light probe", steps["light"].cpu, plain.cpu, 1 / 20),
    )


def _ratio(what: str, ours: float, plain: float, most: float) -> Bar:
    return Bar(
        promise=f"at most {most:.2f} {what}",
        measured=f"{ours / plain:.3f}",
        kept=ours / plain <= most,
    )


def _difference(plain: Path, ours: Path) -> float:
    """The largest difference of a gradient's tensor, relative to the tensor's length."""
    import torch

    first, second = torch.load(plain), torch.load(ours)
    return max(float((second[name] - x).norm() / x.norm()) for name, x in first.items())
