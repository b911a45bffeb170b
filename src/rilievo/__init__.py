"""One photograph in; depth, surface normals and a 3-D surface out.

::

    prediction = rilievo.predict("photo.jpg")        # a path, URL, bytes, Pillow image or array
    prediction.depth.values                          # (h, w) float32, up to scale
    prediction.normals                               # (3, h, w) float32, towards the camera
    prediction.show()                                # in a notebook: the name alone
    prediction.save("results/photo", ["colour", "ply"])

    model = rilievo.load_model("rilievo/small")      # once, for many photographs
    metres = rilievo.predict("photo.jpg", known=[(320, 240, 2.35)])
    print(metres.measure((120, 200), (310, 195)))    # a length with its range
"""

from importlib import import_module
from typing import TYPE_CHECKING

from rilievo.telemetry import switch_off as _switch_off_telemetry
from rilievo.version import VERSION as __version__

# Before any dependency is imported, which is when some of them read it.
_switch_off_telemetry()

if TYPE_CHECKING:
    from rilievo.alignment import align as align
    from rilievo.calibration import KnownLength as KnownLength
    from rilievo.calibration import KnownPoint as KnownPoint
    from rilievo.calibration import calibrate as calibrate
    from rilievo.calibration import calibrate_height as calibrate_height
    from rilievo.datasets import DATASETS as DATASETS
    from rilievo.datasets import open_dataset as open_dataset
    from rilievo.errors import CalibrationError as CalibrationError
    from rilievo.errors import InputError as InputError
    from rilievo.errors import MissingExtraError as MissingExtraError
    from rilievo.errors import MissingFileError as MissingFileError
    from rilievo.errors import MissingPackageError as MissingPackageError
    from rilievo.errors import ModelError as ModelError
    from rilievo.errors import NoDepthError as NoDepthError
    from rilievo.errors import OptionError as OptionError
    from rilievo.errors import OutputError as OutputError
    from rilievo.errors import RilievoError as RilievoError
    from rilievo.evaluate.benchmarks import BENCHMARKS as BENCHMARKS
    from rilievo.evaluate.options import EvaluateOptions as EvaluateOptions
    from rilievo.evaluate.run import evaluate as evaluate
    from rilievo.export.options import ExportOptions as ExportOptions
    from rilievo.export.run import export_model as export_model
    from rilievo.fuse.options import FuseOptions as FuseOptions
    from rilievo.fuse.run import fuse_clip as fuse_clip
    from rilievo.io.outputs import save as save
    from rilievo.io.photo import read_photo as read_photo
    from rilievo.io.readback import read_prediction as read_prediction
    from rilievo.io.verification import verify as verify
    from rilievo.models import MODELS as MODELS
    from rilievo.models import load_model as load_model
    from rilievo.models import unload_model as unload_model
    from rilievo.pipelines import pipeline as pipeline
    from rilievo.predicting.images import predict as predict
    from rilievo.predicting.options import PredictOptions as PredictOptions
    from rilievo.predicting.run import predict_files as predict_files
    from rilievo.predicting.stream import stream as stream
    from rilievo.sweep.config import SweepOptions as SweepOptions
    from rilievo.sweep.run import sweep_probes as sweep_probes
    from rilievo.train.probe.run import train_probe as train_probe
    from rilievo.types import Camera as Camera
    from rilievo.types import DepthKind as DepthKind
    from rilievo.types import DepthMap as DepthMap
    from rilievo.types import Photo as Photo
    from rilievo.types import Prediction as Prediction
    from rilievo.types import Sample as Sample

# Public names and their modules; importing rilievo loads none of these.
_HOMES = {
    "BENCHMARKS": "evaluate.benchmarks",
    "DATASETS": "datasets",
    "MODELS": "models",
    "CalibrationError": "errors",
    "Camera": "types",
    "DepthKind": "types",
    "DepthMap": "types",
    "EvaluateOptions": "evaluate.options",
    "ExportOptions": "export.options",
    "FuseOptions": "fuse.options",
    "InputError": "errors",
    "KnownLength": "calibration",
    "KnownPoint": "calibration",
    "MissingExtraError": "errors",
    "MissingFileError": "errors",
    "MissingPackageError": "errors",
    "ModelError": "errors",
    "NoDepthError": "errors",
    "OptionError": "errors",
    "OutputError": "errors",
    "Photo": "types",
    "PredictOptions": "predicting.options",
    "Prediction": "types",
    "RilievoError": "errors",
    "Sample": "types",
    "SweepOptions": "sweep.config",
    "align": "alignment",
    "calibrate": "calibration",
    "calibrate_height": "calibration",
    "evaluate": "evaluate",
    "export_model": "export.run",
    "fuse_clip": "fuse.run",
    "load_model": "models",
    "open_dataset": "datasets",
    "pipeline": "pipelines",
    "predict": "predicting.images",
    "predict_files": "predicting.run",
    "read_photo": "io.photo",
    "read_prediction": "io.readback",
    "save": "io.outputs",
    "stream": "predicting.stream",
    "sweep_probes": "sweep.run",
    "train_probe": "train.probe.run",
    "unload_model": "models",
    "verify": "io.verification",
}

__all__ = ["__version__", *sorted(_HOMES)]  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str) -> object:
    """Load a public name at its first use."""
    if name not in _HOMES:
        raise AttributeError(f"module 'rilievo' has no attribute '{name}'")
    value = getattr(import_module(f"rilievo.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
