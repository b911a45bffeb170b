"""Folders inside a run that transformers and diffusers load."""

import shutil
from pathlib import Path
from typing import Any

from rilievo.io.files.atomic import replacing
from rilievo.training.adapters.checkpoint_config import PROCESSOR_FILE
from rilievo.training.adapters.run_models import PIPELINE
from rilievo.training.adapters.torch_model import DepthProHead, PlainDepthHead
from rilievo.training.adapters.trained import HEADED
from rilievo.training.engine.checkpoint import save_weights
from rilievo.training.networks.latent_network import LatentNetwork
from rilievo.training.tuning.starts import TunedNetwork


def write_library_config(network: TunedNetwork, run: Path) -> None:
    """Write all but the weights of pipelines and transformers models."""
    if isinstance(network, LatentNetwork) and not (run / PIPELINE).exists():
        part = run / f"{PIPELINE}.part"
        shutil.rmtree(part, ignore_errors=True)
        network.pipeline.save_pretrained(part)
        part.rename(run / PIPELINE)
    if not isinstance(network, PlainDepthHead | DepthProHead):
        return
    config: Any = network.body.config
    config.save_pretrained(run / HEADED)
    beside = Path(config.name_or_path) / PROCESSOR_FILE
    if beside.is_file():
        with replacing(run / HEADED / PROCESSOR_FILE) as part:
            part.write_bytes(beside.read_bytes())


def write_library_weights(network: TunedNetwork, run: Path) -> None:
    """Write weights of pipelines and transformers models alone."""
    if isinstance(network, LatentNetwork):
        path = run / PIPELINE / "unet" / "diffusion_pytorch_model.safetensors"
        save_weights(network.unet, path, {"format": "pt"})
    if isinstance(network, PlainDepthHead | DepthProHead):
        save_weights(network.body, run / HEADED / "model.safetensors", {"format": "pt"})
