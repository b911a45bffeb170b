"""Judge networks by the panel: ``python lab/studies/judge_models.py A.onnx B.onnx``.

The first network is the default that the others are compared with. Four cameras decide; the rest
is printed and decides nothing. A network replaces the default by the rule of ``panel_rule``. The
panel is looked at when a run has ended: checkpoints, areas and schedules are chosen by kept-out
rendered frames and NYU's kept-out training frames alone, else it becomes what it judges.
"""

import argparse
import json
import os
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float64
from panel import DECIDING, SHOWN, FrameScores, frames, scored
from panel_rule import LEAST_GAIN, Change, Verdict, compare

from rilievo.errors import RilievoError
from rilievo.measure.ranges import COVERAGE
from rilievo.models import load_model
from rilievo.models.base import Model

Scores = Mapping[str, Sequence[FrameScores]]
"""Scores of one network by camera, frame by frame."""


def judge(models: Sequence[Model], names: Sequence[str], data: Path) -> list[Scores]:
    """Score every network on every frame; each frame is read once."""
    found: list[dict[str, list[FrameScores]]] = [{} for _ in models]
    for name in names:
        for number, sample in enumerate(frames(name, data)):
            for model, kept in zip(models, found, strict=True):
                kept.setdefault(name, []).append(scored(name, model, sample, number))
        sys.stderr.write(f"{name}\n")
    return list(found)


def verdict(old: Scores, new: Scores) -> Verdict:
    """Compare AbsRel on the cameras that decide."""
    return compare(
        *({name: _values(each[name], "abs_rel") for name in DECIDING} for each in (old, new))
    )


def table(names: Sequence[str], judged: Sequence[Scores]) -> str:
    """Format means over frames as Markdown: the cameras that decide, then the others."""
    lines = [
        "| camera (frames) | network | AbsRel / δ1 | normals | boundary F1 | AUSE, of random's "
        "| ranges hold | relearned, width |",
        "|---|---|---|---:|---:|---:|---:|---:|",
    ]
    for camera in judged[0]:
        for name, scores in zip(names, judged, strict=True):
            title = f"{camera} ({len(scores[camera])})" if name == names[0] else ""
            lines.append(f"| {title} | {name} | {_cells(scores, camera)} |")
    return "\n".join(lines) + "\n"


def _cells(scores: Scores, camera: str) -> str:
    kept = scores[camera]
    mean = {
        name: float(np.mean(_values(kept, name)))
        for name in ("abs_rel", "delta1", "boundary_f1", "ause", "ause_random")
    }
    inside = np.mean(_joined(kept, "errors") <= _joined(kept, "ranges"))
    cells = [
        f"{mean['abs_rel']:.4f} / {mean['delta1']:.3f}",
        f"{np.nanmean([*_values(kept, 'angle'), np.nan]):.1f}°" if camera != "kitti-raw" else "–",
        f"{mean['boundary_f1']:.3f}",
        f"{mean['ause']:.3f}, {mean['ause'] / mean['ause_random']:.2f}",
        f"{inside:.0%}",
    ]
    if camera not in DECIDING:
        return " | ".join([*cells, "–"])
    held, width = relearned(scores, camera)
    return " | ".join([*cells, f"{held:.0%}, {width:.2f}"])


def relearned(scores: Scores, camera: str) -> tuple[float, float]:
    """Share of depths inside ranges whose size is learned on the other cameras that decide.

    Every camera counts alike. The second number is the mean width over that of the one constant
    range that would hold as many.
    """
    others = [scores[name] for name in DECIDING if name != camera]
    ratios = [_joined(each, "errors") / _joined(each, "ranges") for each in others]
    factor = _quantile(ratios, COVERAGE)
    errors, ranges = (_joined(scores[camera], name) for name in ("errors", "ranges"))
    held = float(np.mean(errors <= factor * ranges))
    constant = float(np.quantile(errors, held))
    return held, float(np.mean(np.sinh(factor * ranges)) / np.sinh(constant))


def _quantile(groups: Sequence[Float64[np.ndarray, "_"]], share: float) -> float:
    """Quantile of values of which each group has the same weight."""
    values = np.concatenate(groups)
    weights = np.concatenate([np.full(len(each), 1 / len(each)) for each in groups])
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / weights.sum()
    return float(values[order][np.searchsorted(reached, share)])


def _values(kept: Sequence[FrameScores], name: str) -> Float64[np.ndarray, "n"]:
    return np.array([getattr(each, name) for each in kept])


def _joined(kept: Sequence[FrameScores], name: str) -> Float64[np.ndarray, "n"]:
    return np.concatenate([getattr(each, name) for each in kept])


def summary(name: str, default: str, found: Verdict) -> str:
    """Say in Markdown by how much a network changes AbsRel, and whether it replaces the default."""
    intro = (
        "To summarise the table, we computed by how much AbsRel changes if you replace "
        f"`{default}` by `{name}`. A negative change is an improvement. The brackets contain 90% "
        "intervals:"
    )
    changes = {"mean of the cameras": found.together, **found.cameras}
    items = "\n".join(f"- {title}: {_percent(each)}" for title, each in changes.items())
    rule = (
        f"Our rule is that a new default must reduce the mean by {LEAST_GAIN:.0%} or more, and "
        f"must not be worse for any camera. {_answer(name, found)}"
    )
    return f"{_filled(intro)}\n\n{items}\n\n{_filled(rule)}\n"


def _answer(name: str, found: Verdict) -> str:
    if not found.replaces:
        return f"`{name}` does not meet the rule: {found.reason}."
    if found.together.mean <= -LEAST_GAIN:
        return f"`{name}` meets both conditions."
    return f"A smaller reduction is enough if it is certain. `{name}` is better: {found.reason}."


def _filled(text: str) -> str:
    return textwrap.fill(text, 100, break_on_hyphens=False, break_long_words=False)


def _percent(change: Change) -> str:
    return f"{change.mean:+.1%} [{change.low:+.1%}, {change.high:+.1%}]"


def main() -> None:
    """Read the options, judge, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", help="names or ONNX files, the default first")
    parser.add_argument("--only-deciding", action="store_true", help="leave out what is only shown")
    parser.add_argument("--json", type=Path, help="where to write AbsRel of every frame")
    options = parser.parse_args()
    if "RILIEVO_DATA" not in os.environ:
        sys.exit("error: set RILIEVO_DATA to the folder that holds the sets")
    models = [load_model(each, device="cpu", threads=1) for each in options.models]
    names = [Path(each).name if each.endswith(".onnx") else each for each in options.models]
    cameras = DECIDING if options.only_deciding else (*DECIDING, *SHOWN)
    judged = judge(models, cameras, Path(os.environ["RILIEVO_DATA"]))
    sys.stdout.write(table(names, judged))
    for name, scores in zip(names[1:], judged[1:], strict=True):
        sys.stdout.write("\n" + summary(name, names[0], verdict(judged[0], scores)))
    if options.json:
        rows = {
            name: {camera: _values(kept, "abs_rel").tolist() for camera, kept in scores.items()}
            for name, scores in zip(names, judged, strict=True)
        }
        options.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except RilievoError as error:
        sys.exit(f"error: {error}")
