"""Text of the card of an embedded model."""

import json
import math
from dataclasses import replace
from pathlib import Path

from default_scores import Scores, table
from file_facts import FileFacts
from sureness import Calibration

from rilievo.calibration.ranges import Circumstances, expected_error
from rilievo.evaluation.benchmarks import find_benchmark
from rilievo.models import DEFAULT_MODEL

PRIOR = "row prior"
_LEAST_FRAMES = 5
"""Number of photographs from which on a camera is judged by itself."""
_SMALL_ONES = ("PyDNet", "FastDepth", "GuideDepth", "ZipDepth", "Lite-Mono", "MiDaS v2.1 small")
_EXPECTED = """\
Error that eight in ten measurements in metres stay below, with the camera known. *Beside*: a tenth
of the picture's width from what was known, at the same depth. *Away*: half the width from it, at
1.5 times its depth (or 1/1.5). *Unsure*: beside, in a photograph whose doubtful tenth has a
confidence below 0.5 instead of 0.7. Learned on {learned} photographs of {cameras} cameras, each of
which counts the same (`lab/studies/calibrate_ranges.py`). If a camera is left out and judged by what
was learned on the others, {mean:.0%} of the lengths are inside in the mean over the cameras; of those
with five photographs or more, {least:.0%} to {most:.0%}."""  # noqa: E501
_METHODS = (
    ("one point", "known points"),
    ("one length", "known lengths"),
    ("the camera's height", "camera height"),
    ("many points, with a smooth field", "smooth field"),
)

_MEANT = {
    "rilievo/base": (
        "It is the default for photographs: layout and detail in one graph "
        "(`lab/making/fused_graph.py`). "
        "Two layout networks (EfficientNet-Lite2 as encoder) see about 49,000 pixels, one "
        "the mirror image, and their mean counts; the detail network "
        "(MobileNetV2) sees 197,000, and gives what is finer than a grid of 24x32; a head on "
        "its features then moves depth at outlines to one of their sides "
        "(`lab/making/outline_network.py`). Confidence "
        "and sky are the layout networks'; confidence was recalibrated "
        "(`lab/making/recalibrate.py`) "
        "with NYU's 60 frames kept out of training and 168 rendered ones."
    ),
    "rilievo/small": (
        "It is the default for videos, live pictures and the static page, and `--quality fast` for "
        "photographs: five times as fast as `rilievo/base`."
    ),
}
_LIMITS = """\
Depth is predicted up to one unknown factor per photograph: proportions are estimates, and sizes
mean nothing until the scale is calibrated. Rooms and streets were learned on images of about
49,000 pixels: what is thinner than a hundredth of the picture is often missed, close views of
boxes on a floor, faces and large vehicles near the camera come out worst, cast shadows stand out,
façades are bent by their windows, and oblique walls look too frontal. Sky is put at about twice the
farthest surface.
Mirrors, glass, pictures of scenes, close-ups without context, aerial and microscope pictures,
and fisheye lenses are outside what it learnt. It is meant for previews, surfaces of rooms and
streets, and teaching; not for driving, surveying or anything where a wrong distance harms
somebody."""
_ACCURACY = """\
Accuracy on images that were never trained on, by `lab/studies/evaluate_default_model.py`, each row under
the benchmark that it names (`rilievo benchmarks NAME`). Depth is brought to metres by one factor an
image, where medians agree; "aligned" fits a factor and a shift to the truth by least squares
instead, as Marigold's evaluation does and as most tables of others do. The factor is not negative:
an image whose best line would turn near into far is scored at one depth everywhere (in brackets:
how many are).
The NYU frames are every seventh of the official test set, with 8-bit in-painted depth: not the
official benchmark. Their photographs have a white frame: `nyuv2-eigen-filled` shows it to the
model and scores what lies inside, as the literature does; `-unframed` cuts it off before. Normals
of NYU are planes fitted to its depth, whose own noise is several degrees. The basement is in the
training set too, in a frame beside these, and the NYU training frames were trained on, or the
training was judged by them: these rows are no test. The frames of 7-Scenes that show one view of a
kitchen count as hardly more than one frame, and come out better than its other views.
"row prior" never looks: it is the mean depth and normal of each image row of NYU's training
frames."""  # noqa: E501


def as_text(facts: FileFacts, scores: Scores, milliseconds: float | None, panel: str = "") -> str:
    """Format the whole card.

    Args:
        facts: Facts about the file.
        scores: Scores of this model and of those it is compared with.
        milliseconds: Time of the network alone on two cores; None if not measured.
        panel: Text that ``judge_models.py`` printed of this model; empty if it was not judged.
    """
    own = [row for row in scores.rows if row.model in (facts.name, PRIOR)]
    said = [each for each in scores.calibrations if each.model == facts.name]
    paragraphs = (
        f"# {facts.name}",
        _first(facts, milliseconds),
        *((_judged(panel),) if panel else ()),
        f"Trained on {facts.trained_on}.",
        _LIMITS,
        *(_confidence(each) for each in said),
        *((ranges(),) if facts.name == DEFAULT_MODEL else ()),
        _pictures(facts.name),
        _ACCURACY,
        table(own).rstrip(),
        _published(),
    )
    return "\n\n".join(paragraphs) + "\n"


_PANEL = """\
Judged by the panel: four cameras of at least 20 frames, which no training and no choice of a
checkpoint saw (`lab/studies/judge_models.py`, whose output this is). *AUSE* is followed by its share of
random order's; *ranges hold* is the share of lengths inside the shipped ranges, *relearned* the
same for ranges learned on the other three cameras, with their mean width over that of one constant
range."""  # noqa: E501


def _judged(panel: str) -> str:
    return f"{_PANEL}\n\n{panel.strip()}"


def _first(facts: FileFacts, milliseconds: float | None) -> str:
    time = ""
    if milliseconds is not None:
        time = (
            f" One photograph takes the network {milliseconds:.1f} ms on two cores, with ONNX "
            "Runtime (`python -m benchmarks embedded`)."
        )
    return (
        f"Depth {facts.kind.replace('_', ' ')}, surface normals and a confidence of one "
        f"photograph. {_MEANT.get(facts.name, '')}\n\n"
        f"{facts.parameters / 1e6:.2f} million parameters in {facts.precision}, "
        f"{facts.size_bytes / 1e6:.1f} MB ({facts.size_bytes} bytes), {facts.licence}.{time}\n"
        f"sha256 `{facts.sha256}`."
    )


def _confidence(found: Calibration) -> str:
    lines = [
        "Confidence is the chance, pixel by pixel, that depth is right within a factor of 1.25 "
        "once its\nscale is known. "
        f"On {found.frames} photographs with measured depth, brought to metres by their medians,\n"
        f"it is {found.said:.2f} in the mean, and {found.right:.2f} of the pixels are right:",
        "",
        "| confidence | share of pixels | its mean | right |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {part.low:.1f} to {part.high:.1f} | {part.pixels:.0%} | {part.said:.2f} "
        f"| {part.right:.2f} |"
        for part in found.intervals
    ]
    lines += [
        "",
        'By camera; "doubted" are pixels with a confidence below 0.5, and AUSE is the area between '
        "the\nsparsification curves of AbsRel, 0 at best:",
        "",
        "| camera | frames | said | right | doubted | of which right | AUSE |",
        "|---|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {each.camera} | {each.frames} | {each.said:.2f} | {each.right:.2f} "
        f"| {each.doubted:.0%} "
        f"| {'–' if each.doubted_right is None else format(each.doubted_right, '.2f')} "
        f"| {each.ause:.3f} |"
        for each in found.cameras
    ]
    return "\n".join(lines)


def _published() -> str:
    """Published figures of other small networks, aligned, on the whole test sets."""
    found: dict[str, list[str]] = {}
    for benchmark in (find_benchmark("marigold-nyuv2"), find_benchmark("marigold-kitti")):
        for row in benchmark.published:
            if row.model in _SMALL_ONES and "delta1" in row.values:
                cells = found.setdefault(row.model, [row.source])
                cells.append(f"{row.values['abs_rel']:.3f} / {row.values['delta1']:.3f}")
    lines = [
        "Published figures of other small networks, AbsRel / δ1, aligned, on the whole official "
        "test sets (more\nframes than above, and raw depth: they compare roughly):",
        "",
        "| network | NYU, `marigold-nyuv2` | KITTI, `marigold-kitti` | source |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {nyu} | {kitti} | {source} |" for name, (source, nyu, kitti) in found.items()
    ]
    return "\n".join(lines)


def ranges() -> str:
    """Expected errors of metres, in a table made from the learned ranges."""
    near = Circumstances(method="", far=0.1)
    unsure = replace(near, doubt=0.5)
    away = replace(near, far=0.5, deeper=math.log(1.5))
    lines = [
        *_expected().splitlines(),
        "",
        "| metres from | length beside | unsure | away | depth beside | unsure | away |",
        "|---|---|---|---|---|---|---|",
    ]
    for words, method in _METHODS:
        shares = [
            math.expm1(expected_error(what, replace(place, method=method)))
            for what in ("length", "depth")
            for place in (near, unsure, away)
        ]
        lines.append(f"| {words} | " + " | ".join(f"{share:.0%}" for share in shares) + " |")
    return "\n".join(lines)


def _expected() -> str:
    judged = json.loads(Path(__file__).with_name("judged_ranges.json").read_text("utf-8"))
    lengths = judged["length"]
    frames = judged["frames"]
    held = [share for name, share in lengths.items() if frames[name] >= _LEAST_FRAMES]
    return _EXPECTED.format(
        learned=judged["learned_on"],
        cameras=len(lengths),
        mean=sum(lengths.values()) / len(lengths),
        least=min(held),
        most=max(held),
    )


def _pictures(name: str) -> str:
    return (
        f"`docs/pictures/default-{name.partition('/')[2]}.jpg` in the repository shows it at work, "
        "where it does well and\nwhere it fails (`python lab/studies/write_default_pictures.py`). "
        "The "
        "photographs are scikit-image's, which were also\namong the textures of rendered scenes, "
        "though never with their depth."
    )
