"""Text of the card of an embedded model."""

import json
import math
import textwrap
from dataclasses import replace
from pathlib import Path

from card_models import purpose, training
from default_scores import Scores, table
from file_facts import FileFacts
from sureness import Calibration

from rilievo.evaluation.benchmarks import find_benchmark
from rilievo.measure.ranges import Circumstances, expected_error
from rilievo.models import DEFAULT_MODEL

PRIOR = "row prior"
_LEAST_FRAMES = 5
"""Number of photographs from which on a camera is judged by itself."""
_SMALL_ONES = ("PyDNet", "FastDepth", "GuideDepth", "ZipDepth", "Lite-Mono", "MiDaS v2.1 small")
_EXPECTED = """\
How accurate are measurements in metres? If the camera is known, eight in ten measurements should
have a smaller error than the next table gives. The error depends on how far you measure from the
size that you know, for example from the known point:

- *Beside*: a tenth of the picture's width away, at the same depth.
- *Away*: half the width away, at 1.5 times the depth (or 1/1.5).
- *Unsure*: beside, but in a photograph whose most doubtful tenth has a confidence below 0.5
  instead of 0.7.

We estimated these errors from the model's results on {learned} photographs from {cameras}
cameras. Each camera has the same weight (`lab/studies/calibrate_ranges.py`). To check them, we
left out one camera at a time, computed the errors from the others, and measured lengths in the
photographs of the camera that was left out. Then we counted how many of the true lengths lie inside
the predicted range. On average over the cameras, {mean:.0%} do. For single cameras with five
photographs or more, {least:.0%} to {most:.0%} do."""
_METHODS = (
    ("one point", "known points"),
    ("one length", "known lengths"),
    ("the camera's height", "camera height"),
    ("many points, with a smooth field", "smooth field"),
)

_LIMITS = """\
Depth is predicted up to one unknown factor per photograph. So proportions are estimates, and
sizes mean nothing until you calibrate the scale, for example with a known length.

The networks were trained on rooms and streets, in small images of about 49,000 pixels. Expect
these faults:

- Objects thinner than a hundredth of the picture are often missed.
- Depth is least accurate for close views of boxes on a floor, for faces, and for large vehicles
  near the camera.
- Cast shadows stand out from the ground, façades are bent by their windows, and oblique walls
  look too frontal.
- Sky is placed at about twice the distance of the farthest surface.

{uses}"""
_USES = (
    "Use `{name}` for previews, for surfaces of rooms and streets, and for teaching. Do not use it "
    "for driving, for surveying, or for anything where a wrong distance could harm somebody. It "
    "was not trained on mirrors, glass, posters and screens that show a scene, close-ups without "
    "context, pictures from drones or microscopes, or fisheye lenses."
)
_SCORED = (
    "The next table shows how accurate `{name}` is on real and rendered images. It was computed by "
    "`lab/studies/evaluate_default_model.py`. Each row names its benchmark (to read about it, run "
    "`rilievo benchmarks NAME`). These are the scores:"
)
_ACCURACY = """\
- *AbsRel / δ1*: the mean relative error of depth (lower is better), and the share of pixels that
  are right within a factor of 1.25. Depth is scaled by one factor for each image, which makes its
  median equal to the true median.
- *The same, aligned*: a factor and a shift are fitted to the ground truth by least squares, as
  in Marigold's evaluation and in most published tables. If the best fit would swap near and far,
  the image is scored as if the model had predicted the same depth everywhere. The number in
  brackets says for how many images this happened.
- *Row prior*: a baseline that never looks at the image. It predicts the mean depth and normal of
  each image row in NYU's training frames.

When you read the table, note the following:

- **Some rows are not a test.** NYU's training frames were used to train the model or to judge its
  training. The frames of a basement are not a fair test either, because the training set contains
  one of their neighbours. The model was never trained on the other images.
- **NYU's rows are not the official benchmark.** They contain every seventh frame of the test
  set, with 8-bit in-painted depth. The ground-truth normals come from planes fitted to this depth,
  so they are wrong by several degrees themselves.
- **NYU's photographs have a white frame.** In `nyuv2-eigen-filled`, the model sees it, and only
  the pixels inside are scored, as in the literature. In `-unframed`, the frame is cut off first.
- **7-Scenes.** The frames of one view of a kitchen are nearly the same, so they tell you hardly
  more than a single frame. They also score better than the kitchen's other views."""


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
        *((_judged(facts.name, panel),) if panel else ()),
        training(facts),
        _LIMITS.format(uses=_filled(_USES.format(name=facts.name))),
        *(_confidence(each) for each in said),
        *((ranges(),) if facts.name == DEFAULT_MODEL else ()),
        _pictures(facts.name),
        _filled(_SCORED.format(name=facts.name)),
        _ACCURACY,
        table(own).rstrip(),
        _published(facts.name),
    )
    return "\n\n".join(paragraphs) + "\n"


_COMPARED = (
    "The following table shows why `{name}` is the default model. We compared it with `{old}`, the "
    "model that it would replace, on the same test frames. These frames, called the *panel*, come "
    "from four cameras, with at least 20 frames each. They were used neither for training nor to "
    "choose a checkpoint. The table is the output of `lab/studies/judge_models.py`. Its columns "
    "mean:"
)
_PANEL = """\
- *AbsRel / δ1*: the mean relative error of depth (lower is better), and the share of pixels that
  are right within a factor of 1.25
- *normals*: the mean angle between predicted and true normals
- *boundary F1*: how well the edges in depth match the true ones (higher is better)
- *AUSE, of random's*: how badly the confidence ranks the pixels by their error (lower is
  better), and the same divided by that of a random order
- *ranges hold*: the share of true depths that lie inside the error range that this version gives,
  if the depth of one point is known. Here, the lines of a room do not correct the depth
- *relearned, width*: the same share if the ranges are learned only from the other three cameras,
  and the mean width of these ranges, divided by the width of one range that is used for all
  measurements"""


def _judged(name: str, panel: str) -> str:
    _, _, first, *_ = panel.splitlines()
    old = first.split(" | ")[1]
    return f"{_filled(_COMPARED.format(name=name, old=old))}\n\n{_PANEL}\n\n{panel.strip()}"


def _filled(text: str) -> str:
    return textwrap.fill(text, 100, break_on_hyphens=False, break_long_words=False)


def _first(facts: FileFacts, milliseconds: float | None) -> str:
    time = ""
    if milliseconds is not None:
        time = (
            f" On two cores, ONNX Runtime needs {milliseconds:.1f} ms to run it on one photograph "
            "(`python -m benchmarks embedded`)."
        )
    return (
        f"{purpose(facts)}\n\n"
        f"The network has {facts.parameters / 1e6:.2f} million parameters, stored as "
        f"{facts.precision}. Its file has {facts.size_bytes / 1e6:.1f} MB ({facts.size_bytes} "
        f"bytes) and is licensed under {facts.licence}.{time}\n"
        f"The SHA-256 of the file is `{facts.sha256}`."
    )


def _confidence(found: Calibration) -> str:
    lines = [
        _filled(
            "The confidence of a pixel is the probability that its depth is right. Right means "
            "within a factor of 1.25 of the true depth, once the scale is known. To check the "
            f"confidence, we predicted {found.frames} photographs with measured depth, and scaled "
            "each prediction to the median of the measured depth. The mean confidence is "
            f"{found.said:.2f}, and {found.right:.0%} of the pixels are right."
        ),
        "",
        _filled(
            "The next table groups the pixels by their confidence. Ideally, the mean confidence of "
            "each group equals the share of its pixels that are right:"
        ),
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
        _filled(
            "You can trust the confidence more for some cameras than for others, as the next table "
            "shows. *Doubted* is the share of pixels with a confidence below 0.5. AUSE (the area "
            "between the sparsification curves of AbsRel) says how well low confidence matches "
            "large errors, and 0 is best."
        ),
        "",
        "| camera | frames | mean confidence | right | doubted | right if doubted | AUSE |",
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


def _published(model: str) -> str:
    """Published figures of other small networks, aligned, on the whole test sets."""
    found: dict[str, list[str]] = {}
    for benchmark in (find_benchmark("marigold-nyuv2"), find_benchmark("marigold-kitti")):
        for row in benchmark.published:
            if row.model in _SMALL_ONES and "delta1" in row.values:
                cells = found.setdefault(row.model, [row.source])
                cells.append(f"{row.values['abs_rel']:.3f} / {row.values['delta1']:.3f}")
    lines = [
        _filled(
            f"To compare `{model}` with other small networks, look at their published scores "
            "(AbsRel / δ1, aligned). The comparison is only rough, because these scores were "
            "computed on the complete official test sets, with raw depth and more frames:"
        ),
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
    near = Circumstances(method="", known_size_distance=0.1)
    unsure = replace(near, doubt=0.5)
    away = replace(near, known_size_distance=0.5, log_depth_ratio=math.log(1.5))
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
    return _filled(
        f"To see where `{name}` works well and where it fails, look at the picture "
        f"`docs/pictures/default-{name.partition('/')[2]}.jpg` in the repository "
        "(`python lab/studies/write_default_pictures.py`). It shows photographs from scikit-image "
        "with their predicted depth. The model has seen these photographs in training, but only as "
        "textures of rendered scenes, never with their depth."
    )
