"""Import paths (``module:NAME``) by which the core finds objects of the subpackages.

The core works without ``training``, ``evaluation``, ``data``, ``serving`` and ``cluster``, so its
modules import none of them.
"""

from collections.abc import Mapping
from typing import Any

COMMANDS: Mapping[str, str] = {
    "export": "rilievo.training.commands.export:main",
    "datasets": "rilievo.data.commands.datasets:main",
    "check": "rilievo.data.commands.check:main",
    "train": "rilievo.training.commands.train:main",
    "probe": "rilievo.training.commands.probe:main",
    "evaluate": "rilievo.evaluation.commands.evaluate:main",
    "benchmarks": "rilievo.evaluation.commands.benchmarks:main",
    "compare": "rilievo.evaluation.commands.compare:main",
    "trajectory": "rilievo.data.commands.trajectory:main",
    "fuse": "rilievo.data.commands.fuse:main",
    "app": "rilievo.serving.commands.app:main",
    "page": "rilievo.serving.commands.page:main",
    "serve": "rilievo.serving.commands.serve:main",
    "mcp": "rilievo.serving.commands.mcp:main",
    "view": "rilievo.evaluation.commands.view:main",
    "report": "rilievo.evaluation.commands.report:main",
}
"""Functions that run commands, by the names of the commands."""
FINDERS: Mapping[str, str] = {
    "trained": "rilievo.training.adapters.trained_cards:find_trained",
}
"""Functions that find the model that a user names."""
LOADERS: Mapping[str, str] = {
    "transformers": "rilievo.training.adapters.transformers_models:load",
    "diffusers": "rilievo.training.adapters.saved_pipelines:load",
    "probe-run": "rilievo.training.adapters.run_loaders:load_probe",
    "video-run": "rilievo.training.adapters.run_loaders:load_video",
    "tuned-run": "rilievo.training.adapters.run_loaders:load_tuned",
    "monodepth2": "rilievo.training.adapters.monodepth2:load",
}
"""Functions that load a model, by the loader that its model card names."""
FUNCTIONS: Mapping[str, str] = {
    "BACKBONES": "rilievo.training.networks.backbone_cards:BACKBONES",
    "BENCHMARKS": "rilievo.evaluation.benchmarks:BENCHMARKS",
    "CorrespondenceOptions": (
        "rilievo.training.correspondence.correspondence_config:CorrespondenceOptions"
    ),
    "DATASETS": "rilievo.data.datasets:DATASETS",
    "EvaluateOptions": "rilievo.evaluation.options:EvaluateOptions",
    "ExportOptions": "rilievo.training.conversion.onnx_export:ExportOptions",
    "FuseOptions": "rilievo.data.fuse.fuse_options:FuseOptions",
    "SweepOptions": "rilievo.training.sweep.sweep_config:SweepOptions",
    "evaluate": "rilievo.evaluation.evaluation_run:evaluate",
    "export_model": "rilievo.training.conversion.onnx_export:export_model",
    "fine_tune": "rilievo.training.tuning.tuning_run:fine_tune",
    "fuse_clip": "rilievo.data.fuse.fuse_clip:fuse_clip",
    "open_dataset": "rilievo.data.datasets:open_dataset",
    "probe_correspondence": (
        "rilievo.training.correspondence.correspondence_run:probe_correspondence"
    ),
    "sweep_probes": "rilievo.training.sweep.sweep_run:sweep_probes",
    "train_probe": "rilievo.training.probe.probe_run:train_probe",
}
"""Public names of ``rilievo`` that are defined in a subpackage."""
SERVICES: Mapping[str, str] = {
    "backbones": "rilievo.training.networks.backbone_cards:BACKBONES",
    "backbone-card": "rilievo.training.networks.backbone_cards:find_backbone_card",
    "addresses": "rilievo.cluster.staging:Addresses",
    "ray-pool": "rilievo.cluster.ray_tasks:Pool",
    "work-on-ray": "rilievo.cluster.ray_tasks:work_on_ray",
    "predicts-motion": "rilievo.training.adapters.run_models:predicts_motion",
    "load-motion": "rilievo.training.adapters.network_motion:load_motion",
    "live-page": "rilievo.serving.live_page:LivePage",
    "probe-scoring": "rilievo.evaluation.probe_scores:ProbeScoring",
    "probe-comparison": "rilievo.evaluation.probe_comparison:compare_probes",
}
"""Objects that the core or another subpackage asks for by name."""


def resolve_name(import_path: str) -> Any:
    """Import the object of ``module:NAME``."""
    import pkgutil

    return pkgutil.resolve_name(import_path)


def load_service(name: str) -> Any:
    """Load an object of ``SERVICES``."""
    return resolve_name(SERVICES[name])
