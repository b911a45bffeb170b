"""Judge a network against another: ``python lab/studies/judge_default.py OLD.onnx NEW.onnx``.

Every topic has scores of frames, which are kept by the hash of the network (and of the errors to
expect of metres), so a network is run once and an interrupted command goes on. A change has the
interval of nine draws in ten over blocks of frames. With one network its scores alone are printed.

Topics: ``panel`` (AbsRel, normals, ranges, confidence on eleven cameras), ``turns`` (frames turned
by 30 degrees), ``outlines`` (photographs by which they are developed), ``others`` (all other
photographs), ``rendered`` (shards of ``python -m lab.scenes --size 384 512``, a folder a kind),
``flicker`` (two clips), ``cost`` (CPU time in turns, bytes).
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping
from dataclasses import asdict
from functools import partial
from pathlib import Path

import numpy as np
from judge_changes import Comparison, Level, Measure, compared, level_lines, levels, lines
from judge_cost import Cost, cost
from judge_flicker import flicker_rows
from judge_frames import BLOCKS, CAMERAS, GROUPS
from judge_outlines import outline_rows, photographs
from judge_panel import panel_rows, turned_rows, warning_chance, warning_chance_within
from judge_rendered import rendered_rows
from judge_rows import Rows, network_hash, stored
from panel_rule import Change

from rilievo.errors import OptionError, RilievoError
from rilievo.models import load_model
from rilievo.models.base import Model

TOPICS = ("panel", "turns", "outlines", "rendered", "flicker", "cost", "others")
MEASURES: Mapping[str, Measure] = {
    "abs_rel": Measure(title="AbsRel, medians equal"),
    "delta1": Measure(title="share of pixels within a factor of 1.25", relative=False),
    "angle": Measure(title="mean angle of normals", relative=False, unit="°"),
    "inside": Measure(title="share of depths inside their ranges", relative=False),
    "range": Measure(title="median range, natural logarithm"),
    "ause": Measure(title="AUSE of AbsRel by confidence", relative=False),
    "confidence": Measure(title="mean confidence", relative=False),
    "turned": Measure(title="AbsRel, turned by 30 degrees"),
    "outline": Measure(title="width of outlines, median", median=True, unit=" %"),
    "halo": Measure(title="share of photographs with a halo", relative=False),
    "splinters": Measure(title="splinters", unit=" %"),
    "roughness": Measure(title="roughness of outlines", relative=False),
    "f1": Measure(title="F1 of steps at 2 px"),
    "invented": Measure(title="invented steps", unit=" %"),
    "rendered": Measure(title="AbsRel, rendered"),
    "beside_steps": Measure(title="AbsRel beside steps"),
    "beside_sky": Measure(title="AbsRel beside the sky"),
    "tae": Measure(title="flicker, TAE", unit=" %"),
    "opw": Measure(title="flicker, OPW"),
}
_MEANS = {
    "abs_rel": GROUPS,
    "inside": {"all cameras": tuple(CAMERAS)},
    "ause": {"all cameras": tuple(CAMERAS)},
    "turned": {"four cameras": tuple(name for name, each in CAMERAS.items() if each.turned)},
    "angle": {"four cameras": tuple(name for name, each in CAMERAS.items() if each.normals)},
}
_FLICKER_BLOCK = 8
"""Neighbouring pairs of frames that are drawn together."""


def rows_of(
    topic: str, model: Model, key: str, data: Path, rendered: Path | None, cache: Path, every: int
) -> Rows:
    """Score a network, or read its scores from the cache."""
    if topic == "panel":
        make = partial(panel_rows, model, data)
    elif topic == "turns":
        make = partial(turned_rows, model, data)
    elif topic == "flicker":
        make = partial(flicker_rows, model, data)
    elif topic == "rendered":
        if rendered is None:
            raise OptionError("--rendered FOLDER with shards is needed for rendered frames")
        make = partial(rendered_rows, model, rendered)
        topic = f"rendered-{rendered.name}"
    else:
        group = {"outlines": "chosen"}.get(topic, topic)
        step = 1 if topic == "outlines" else every
        make = partial(outline_rows, model, photographs(data)[group][::step], group)
        topic = topic if step == 1 else f"{topic}-{step}"
    return stored(cache / f"{key}-{topic}.json", make)


def comparisons(old: Rows, new: Rows) -> dict[str, Comparison]:
    """Compare every measure of a topic."""
    return {
        name: compared(
            old.scores(name),
            new.scores(name),
            MEASURES[name],
            blocks=_blocks(name, old),
            means=_MEANS.get(name, {"every group": tuple(old.values[name])}),
        )
        for name in old.values
        if name in MEASURES
    }


def summaries(rows: Rows) -> dict[str, dict[str, Level]]:
    """Summarise every measure of a topic."""
    return {
        name: levels(rows.scores(name), MEASURES[name], blocks=_blocks(name, rows))
        for name in rows.values
        if name in MEASURES
    }


def _blocks(name: str, rows: Rows) -> Mapping[str, int]:
    if name in ("tae", "opw"):
        return dict.fromkeys(rows.values[name], _FLICKER_BLOCK)
    return BLOCKS


def chances(rows: Rows) -> dict[str, Change]:
    """Chance that a bad frame is doubted more than a good one, by two readings of confidence."""
    errors, mean, doubt = (rows.scores(name) for name in ("abs_rel", "confidence", "doubt"))
    found = {}
    for name, doubts in (
        ("mean confidence", {camera: 1 - each for camera, each in mean.items()}),
        ("doubt", doubt),
    ):
        joined = (np.concatenate(list(each.values())) for each in (doubts, errors))
        found[name] = warning_chance(next(joined), next(joined))
        found[f"{name}, within cameras"] = warning_chance_within(doubts, errors)
    return found


def _print(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _print_chances(name: str, rows: Rows) -> dict[str, object]:
    found = chances(rows)
    for reading, chance in found.items():
        _print(
            f"chance that a bad frame is doubted more than a good one, by {reading}, {name}: "
            f"{chance.mean:.2f} [{chance.low:.2f}, {chance.high:.2f}]"
        )
    return {reading: asdict(chance) for reading, chance in found.items()}


def _print_cost(found: Cost) -> None:
    _print("\n# cost")
    _print(
        f"answer {found.old_ms:.0f} -> {found.new_ms:.0f} CPU-ms, ratio "
        f"{found.ratio.mean:.3f} [{found.ratio.low:.3f}, {found.ratio.high:.3f}]"
    )
    grown = found.new_bytes - found.old_bytes
    _print(f"file {found.old_bytes} -> {found.new_bytes} bytes ({grown:+d})")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("old", type=Path, help="network that the other is compared with")
    parser.add_argument("new", type=Path, nargs="?", help="network to judge")
    parser.add_argument("--data", type=Path, default=os.environ.get("RILIEVO_DATA"))
    parser.add_argument("--rendered", type=Path, help="folder of shards, a folder a kind")
    parser.add_argument("--only", choices=TOPICS, action="append", help="topic; may be repeated")
    parser.add_argument("--every", type=int, default=1, help="take every N-th of the others")
    parser.add_argument("--cache", type=Path, default=Path("runs/judge"), help="folder of scores")
    parser.add_argument("--json", type=Path, help="where to write all figures")
    return parser


def main() -> None:
    """Read the options, judge, print."""
    options = _parser().parse_args()
    if options.data is None:
        raise OptionError("set RILIEVO_DATA or --data to the folder that holds the sets")
    options.cache.mkdir(parents=True, exist_ok=True)
    paths = [options.old, *([options.new] if options.new else [])]
    models = [load_model(str(path), device="cpu", threads=1) for path in paths]
    keys = [network_hash(path) for path in paths]
    record: dict[str, object] = {}
    for topic in options.only or TOPICS:
        if topic == "cost":
            # One network is beside itself: the ratio shows how exact the measurement is.
            found = cost((models * 2)[:2], (paths * 2)[:2], photographs(options.data)["chosen"][0])
            _print_cost(found)
            record[topic] = found.record()
        else:
            sources = options.data, options.rendered, options.cache, options.every
            rows = [
                rows_of(topic, model, key, *sources)
                for model, key in zip(models, keys, strict=True)
            ]
            _print(f"\n# {topic}")
            record[topic] = _compared(*rows) if options.new else _summarised(*rows)
            if topic == "panel":
                names = [path.name for path in paths]
                record["warning"] = [
                    _print_chances(name, each) for name, each in zip(names, rows, strict=True)
                ]
        if options.json:
            options.json.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def _compared(old: Rows, new: Rows) -> dict[str, object]:
    found = comparisons(old, new)
    for comparison in found.values():
        _print(f"## {comparison.measure.title}")
        for line in lines(comparison):
            _print(line)
    return {name: each.record() for name, each in found.items()}


def _summarised(rows: Rows) -> dict[str, object]:
    found = summaries(rows)
    for name, groups in found.items():
        _print(f"## {MEASURES[name].title}")
        for line in level_lines(groups, MEASURES[name]):
            _print(line)
    return {
        name: {group: asdict(each) for group, each in groups.items()}
        for name, groups in found.items()
    }


if __name__ == "__main__":
    try:
        main()
    except RilievoError as error:
        sys.exit(f"error: {error}")
