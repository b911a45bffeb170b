"""Evaluate the embedded model on frames with measured depth that it never saw.

    RILIEVO_DATA=folder python tools/evaluate_default_model.py [--model FILE.onnx] [--json FILE]

Every set is scored by benchmarks of rilievo, and each leaves a folder with its report below
``--output``; work that was stopped goes on there. Prints a Markdown table; the JSON is what
``write_default_card.py`` makes the model's card of. Below the model stands what one scores that
never looks: the mean depth and normal of each row of NYU's training frames.
"""

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from row_prior import learn_row_prior

import rilievo
from rilievo.errors import InputError
from rilievo.evaluate.benchmark import Benchmark, Crop, InputCrop
from rilievo.evaluate.benchmarks import find_benchmark
from rilievo.evaluate.options import EvaluateOptions
from rilievo.evaluate.records import Evaluation
from rilievo.models import load_model
from rilievo.models.base import Model

_YAMLS = Path(__file__).parent / "real"


@dataclass(frozen=True, slots=True, kw_only=True)
class RealSet:
    """Frames that lie on disk, and what scores them.

    Attributes:
        title: For the table.
        dataset: In ``DATASETS``.
        place: Below the folder of downloads; for the dataset ``folder``, a YAML beside this tool.
        split: Of the dataset.
        variant: With depth; None for the benchmark's.
        benchmarks: That score depth, by name or records of our own.
        normals: Variant that has true normals, or those of the depth; None where there are none.
        normals_benchmark: That scores them.
    """

    title: str
    dataset: str
    place: str
    split: str = "all"
    variant: str | None = None
    benchmarks: tuple[Benchmark | str, ...] = ("depth",)
    normals: str | None = None
    normals_benchmark: Benchmark | str = "normals"

    def root(self, data: Path) -> Path:
        """Where it lies."""
        return _YAMLS / self.place if self.dataset == "folder" else data / self.place


def without_frame(name: str) -> Benchmark:
    """A benchmark that cuts the white frame of NYU's photographs off before the model sees it."""
    return replace(
        find_benchmark(name),
        name=f"{name}-unframed",
        input_crop=InputCrop.NYU_EIGEN,
        crop=Crop.NONE,
    )


REAL_SETS: Mapping[str, RealSet] = {
    "nyu": RealSet(
        title="NYU Depth V2, 94 of the test frames",
        dataset="nyuv2",
        place="nyuv2_labeled_8bit",
        split="test",
        variant="filled",
        benchmarks=("nyuv2-eigen-filled", without_frame("nyuv2-eigen-filled")),
        normals="depth_normals",
        normals_benchmark=without_frame("normals"),
    ),
    "nyu-sync": RealSet(
        title="NYU Depth V2, a basement, raw depth",
        dataset="nyuv2",
        place="nyu_metric3d",
        variant="raw",
        benchmarks=("nyuv2-eigen", without_frame("nyuv2-eigen")),
        normals="depth_normals",
        normals_benchmark=without_frame("normals"),
    ),
    "7scenes": RealSet(
        title="7-Scenes, a kitchen", dataset="seven-scenes", place="7scenes_redkitchen"
    ),
    "sunrgbd": RealSet(
        title="SUN RGB-D, a Kinect frame",
        dataset="sunrgbd",
        place="sunrgbd_original",
        benchmarks=("sunrgbd",),
    ),
    "tum": RealSet(title="TUM, a desk", dataset="tum", place="tum_fr1_desk_9"),
    "tum-pair": RealSet(title="TUM, another frame", dataset="folder", place="tum_pair.yaml"),
    "realsense": RealSet(
        title="RealSense, floors and boxes", dataset="folder", place="realsense.yaml"
    ),
    "motorcycle": RealSet(title="Middlebury motorcycle", dataset="folder", place="motorcycle.yaml"),
    "replica-47": RealSet(
        title="Replica, a rendered scan",
        dataset="folder",
        place="replica_47.yaml",
        normals="default",
    ),
    "replica-156": RealSet(title="Replica, another", dataset="folder", place="replica_156.yaml"),
    "icl": RealSet(title="ICL-NUIM living room, rendered", dataset="folder", place="icl.yaml"),
    "tartanair": RealSet(
        title="TartanAir, rendered", dataset="folder", place="tartanair.yaml", normals="default"
    ),
    "kitti-depth": RealSet(
        title="KITTI, annotated depth",
        dataset="kitti-depth",
        place="kitti_depth_metric3d",
        split="pairs",
        benchmarks=("kitti-eigen-improved", "kitti-kb-eigen", "depth"),
    ),
    "kitti-raw": RealSet(
        title="KITTI raw, single scans",
        dataset="kitti-raw",
        place="kitti_raw",
        benchmarks=("kitti-eigen", "depth"),
    ),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One model on one set by one benchmark.

    Attributes:
        set: Title of the set.
        benchmark: That scored depth.
        model: What was scored.
        frames: How many images.
        abs_rel: As the benchmark aligns: by one factor an image, for depth up to scale.
        delta1: Likewise.
        frames_log: How many images have a fit of scale and power in log depth: none where far is
            taken for near on the whole.
        abs_rel_log: After that fit; None where no image has one.
        delta1_log: Likewise.
        normals_mean: By the benchmark ``normals`` [degrees]; None where the set has none, and in
            all but the last row of a set.
        normals_within_30: Share of their pixels, likewise.
    """

    set: str
    benchmark: str
    model: str
    frames: int
    abs_rel: float
    delta1: float
    frames_log: int = 0
    abs_rel_log: float | None = None
    delta1_log: float | None = None
    normals_mean: float | None = None
    normals_within_30: float | None = None


def rows_of(model: Model, real: RealSet, data: Path, output: Path) -> list[Row]:
    """A row for each of the set's benchmarks.

    Raises:
        RilievoError: If the set is not there, or an image of it has no score.
    """
    options = EvaluateOptions(dataset=real.dataset, split=real.split, variant=real.variant)
    root, rows = real.root(data), list[Row]()
    for asked in real.benchmarks:
        benchmark = find_benchmark(asked) if isinstance(asked, str) else asked
        here = replace(options, output=output / benchmark.name)
        plain = rilievo.evaluate(model, benchmark, root, here, show=False)
        row = Row(
            set=real.title,
            benchmark=benchmark.name,
            model=model.card.name,
            frames=len(plain.scores),
            abs_rel=_value(plain, "abs_rel"),
            delta1=_value(plain, "delta1"),
        )
        here = replace(options, output=output / f"{benchmark.name}+log", align="log")
        rows.append(_with_log(row, model, benchmark, root, here))
    if real.normals is not None:
        chosen = replace(options, variant=real.normals, output=output / "normals")
        scored = rilievo.evaluate(model, real.normals_benchmark, root, chosen, show=False)
        mean, within = _value(scored, "mean"), _value(scored, "within_30")
        rows[-1] = replace(rows[-1], normals_mean=mean, normals_within_30=within)
    return rows


def _with_log(
    row: Row, model: Model, benchmark: Benchmark, root: Path, options: EvaluateOptions
) -> Row:
    try:
        fitted = rilievo.evaluate(model, benchmark, root, options, show=False)
    except InputError as error:
        # The set itself was read for the row: what remains is that no image has a fit.
        sys.stderr.write(f"{row.set}, {row.model}: {error}\n")
        return row
    return replace(
        row,
        frames_log=len(fitted.scores),
        abs_rel_log=_value(fitted, "abs_rel"),
        delta1_log=_value(fitted, "delta1"),
    )


def _value(evaluation: Evaluation, metric: str) -> float:
    (found,) = [each.value for each in evaluation.summaries if each.metric == metric]
    return found


def table(rows: Sequence[Row]) -> str:
    """The rows as Markdown."""
    lines = [
        "| set | benchmark | model | frames | AbsRel / δ1 | the same, log-affine "
        "| normals, < 30° |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        normals = fitted = "–"
        if row.normals_mean is not None and row.normals_within_30 is not None:
            normals = f"{row.normals_mean:.1f}°, {row.normals_within_30:.0%}"
        if row.abs_rel_log is not None and row.delta1_log is not None:
            fitted = f"{row.abs_rel_log:.3f} / {row.delta1_log:.3f}"
            fitted += f" ({row.frames_log})" if row.frames_log < row.frames else ""
        lines.append(
            f"| {row.set} | `{row.benchmark}` | {row.model} | {row.frames} "
            f"| {row.abs_rel:.3f} / {row.delta1:.3f} | {fitted} | {normals} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Read the options, evaluate, print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="rilievo/small", help="a name or an ONNX file")
    parser.add_argument("--json", type=Path, help="where to write the rows")
    parser.add_argument("--output", type=Path, default=Path("runs"), help="folder of the reports")
    parser.add_argument("--sets", nargs="*", default=list(REAL_SETS), help="only these")
    options = parser.parse_args()
    if "RILIEVO_DATA" not in os.environ:
        sys.exit("error: set RILIEVO_DATA to the folder that holds the sets")
    data = Path(os.environ["RILIEVO_DATA"])
    models = (load_model(options.model), learn_row_prior(data / REAL_SETS["nyu"].place))
    rows: list[Row] = []
    for name in options.sets:
        for model in models:
            folder = options.output / name / model.card.name.replace("/", "-")
            rows += rows_of(model, REAL_SETS[name], data, folder)
            sys.stderr.write(f"{name}: {model.card.name}\n")
    sys.stdout.write(table(rows))
    if options.json:
        options.json.write_text(json.dumps([asdict(row) for row in rows], indent=2) + "\n")


if __name__ == "__main__":
    main()
