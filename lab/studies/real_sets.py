"""Frames with measured depth that the embedded models were not trained on, and their benchmarks."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from rilievo.evaluation.benchmarks import find_benchmark
from rilievo.evaluation.benchmarks.benchmark import Benchmark, Crop, InputCrop

_HELD_OUT = 60
"""Frames at the end of NYU's training list that no training sees."""
_YAMLS = Path(__file__).parent / "real"


@dataclass(frozen=True, slots=True, kw_only=True)
class RealSet:
    """Frames on disk, and the benchmarks that score them.

    Attributes:
        title: Title in the table.
        dataset: Name in ``DATASETS``.
        place: Path below the folder of downloads; for the dataset ``folder``, a YAML file beside
            this tool.
        split: Split of the dataset.
        variant: Variant with depth; None for the benchmark's.
        benchmarks: Benchmarks of depth, by name or as records of our own.
        normals: Variant that has true normals, or those of the depth; None where there are none.
        normals_benchmark: Benchmark of normals.
        photographs: Whether they are photographs; rendered pictures say nothing about calibration.
        framed: Whether they have NYU's white frame.
        trained: Whether networks were trained on the same rooms, or chosen by them, so that scores
            say nothing about others.
        takes: Frames that are scored, by their places in the list.
    """

    title: str
    dataset: str
    place: str
    split: str = "all"
    variant: str | None = None
    benchmarks: tuple[Benchmark | str, ...] = ("depth",)
    normals: str | None = None
    normals_benchmark: Benchmark | str = "normals"
    photographs: bool = True
    framed: bool = False
    trained: bool = False
    takes: slice = field(default_factory=lambda: slice(None))

    @property
    def label(self) -> str:
        """The title up to its first comma."""
        return self.title.partition(",")[0]

    def thinned(self, ids: Sequence[str]) -> tuple[str, ...]:
        """The frames that are scored, of all in order."""
        return tuple(ids[self.takes])

    def root(self, data: Path) -> Path:
        """Folder of the set."""
        return _YAMLS / self.place if self.dataset == "folder" else data / self.place


def without_frame(name: str) -> Benchmark:
    """Make a benchmark that crops the white frame of NYU's photographs before prediction."""
    return replace(
        find_benchmark(name),
        name=f"{name}-unframed",
        input_crop=InputCrop.NYU_EIGEN,
        crop=Crop.NONE,
    )


def _nyu_train(said: str, takes: slice) -> RealSet:
    return RealSet(
        title=f"NYU Depth V2, {len(range(795)[takes])} training frames {said}",
        dataset="nyuv2",
        place="nyuv2_labeled_8bit",
        split="train",
        variant="filled",
        benchmarks=(without_frame("nyuv2-eigen-filled"),),
        framed=True,
        trained=True,
        takes=takes,
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
        framed=True,
    ),
    "nyu-sync": RealSet(
        title="NYU Depth V2, a basement of the training frames, raw depth",
        dataset="nyuv2",
        place="nyu_metric3d",
        variant="raw",
        benchmarks=("nyuv2-eigen", without_frame("nyuv2-eigen")),
        normals="depth_normals",
        normals_benchmark=without_frame("normals"),
        framed=True,
        trained=True,
    ),
    "nyu-kept": _nyu_train("kept out of training and validated by", slice(-_HELD_OUT, None, 2)),
    "nyu-seen": _nyu_train("trained on", slice(0, -_HELD_OUT, 25)),
    "panel-7scenes": RealSet(
        title="7-Scenes, 31 views of a kitchen, every 30th frame from 95 on",
        dataset="seven-scenes",
        place="panel_7scenes",
    ),
    "7scenes": RealSet(
        title="7-Scenes, one view of a kitchen, every eighth of 80 frames",
        dataset="seven-scenes",
        place="7scenes_redkitchen",
        takes=slice(None, None, 8),
    ),
    "panel-tum-rpy": RealSet(
        title="TUM, a camera that turns over a desk",
        dataset="folder",
        place="panel_tum_rpy.yaml",
    ),
    "panel-tartanair-hospital": RealSet(
        title="TartanAir, corridors of a hospital, rendered",
        dataset="folder",
        place="panel_tartanair_hospital.yaml",
        photographs=False,
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
        photographs=False,
    ),
    "replica-156": RealSet(
        title="Replica, another", dataset="folder", place="replica_156.yaml", photographs=False
    ),
    "icl": RealSet(
        title="ICL-NUIM living room, rendered",
        dataset="folder",
        place="icl.yaml",
        photographs=False,
    ),
    "tartanair": RealSet(
        title="TartanAir, rendered",
        dataset="folder",
        place="tartanair.yaml",
        normals="default",
        photographs=False,
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
