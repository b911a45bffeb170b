from rilievo.alignment.ground_truth import align as align
from rilievo.calibration.floor import calibrate_height as calibrate_height
from rilievo.calibration.points import calibrate as calibrate
from rilievo.calibration.sizes import KnownCircle as KnownCircle
from rilievo.calibration.sizes import KnownLength as KnownLength
from rilievo.calibration.sizes import KnownPoint as KnownPoint
from rilievo.calibration.sizes import KnownRectangle as KnownRectangle
from rilievo.data.datasets import DATASETS as DATASETS
from rilievo.data.datasets import open_dataset as open_dataset
from rilievo.data.fuse.fuse_clip import fuse_clip as fuse_clip
from rilievo.data.fuse.fuse_options import FuseOptions as FuseOptions
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
from rilievo.evaluation.benchmarks import BENCHMARKS as BENCHMARKS
from rilievo.evaluation.evaluation_run import evaluate as evaluate
from rilievo.evaluation.options import EvaluateOptions as EvaluateOptions
from rilievo.geometry.cameras.camera import Camera as Camera
from rilievo.io.photographs.photo import read_photo as read_photo
from rilievo.io.verification import verify as verify
from rilievo.models import MODELS as MODELS
from rilievo.models import load_model as load_model
from rilievo.models import unload_model as unload_model
from rilievo.models.function_model import model as model
from rilievo.predicting.options import PredictOptions as PredictOptions
from rilievo.predicting.photographs.images import predict as predict
from rilievo.predicting.photographs.pipeline import pipeline as pipeline
from rilievo.predicting.run import predict_files as predict_files
from rilievo.predicting.videos.stream import stream as stream
from rilievo.prediction import Prediction as Prediction
from rilievo.prediction.readback import read_prediction as read_prediction
from rilievo.prediction.saving import save as save
from rilievo.records.depth_map import DepthKind as DepthKind
from rilievo.records.depth_map import DepthMap as DepthMap
from rilievo.records.sample import Photo as Photo
from rilievo.records.sample import Sample as Sample
from rilievo.training.conversion.onnx_export import ExportOptions as ExportOptions
from rilievo.training.conversion.onnx_export import export_model as export_model
from rilievo.training.correspondence.correspondence_config import (
    CorrespondenceOptions as CorrespondenceOptions,
)
from rilievo.training.correspondence.correspondence_run import (
    probe_correspondence as probe_correspondence,
)
from rilievo.training.networks.backbone_cards import BACKBONES as BACKBONES
from rilievo.training.probe.probe_run import train_probe as train_probe
from rilievo.training.sweep.sweep_config import SweepOptions as SweepOptions
from rilievo.training.sweep.sweep_run import sweep_probes as sweep_probes
from rilievo.training.tuning.tuning_run import fine_tune as fine_tune

__version__: str
