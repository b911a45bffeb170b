"""Folders in a run that transformers and diffusers load as models of their own."""

import os
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file

from rilievo.errors import OutputError
from rilievo.io.files.atomic import replacing
from rilievo.io.files.limits import reason
from rilievo.io.files.names import printable
from rilievo.training.adapters.checkpoint_config import PROCESSOR_FILE
from rilievo.training.adapters.run_models import PIPELINE_FOLDER, TRANSFORMERS_FOLDER, WEIGHTS
from rilievo.training.adapters.torch_model import DepthProNetwork, TransformersNetwork
from rilievo.training.adapters.transformers_models import BODY_PREFIX
from rilievo.training.engine.checkpoint import save_tensors, save_weights
from rilievo.training.networks.backbones.hub_tensor_names import (
    WEIGHTS_FILE,
    save_with_hub_tensor_names,
)
from rilievo.training.networks.latent_network import LatentNetwork
from rilievo.training.networks.probe_network import stored_weights
from rilievo.training.tuning.network_layers import TunedNetwork

_TOKENIZER = "tokenizer"
"""Folder of a pipeline's tokenizer, as diffusers names it."""


def write_library_config(network: TunedNetwork, run: Path) -> None:
    """Write all but the trained weights of the folder for transformers or diffusers.

    Networks of other families have no such folder, and a pipeline that is there already is kept.
    """
    if isinstance(network, LatentNetwork):
        if not (run / PIPELINE_FOLDER).exists():
            _write_pipeline(network.pipeline, run)
    elif isinstance(network, TransformersNetwork | DepthProNetwork):
        _write_transformers_config(network.body.config, run / TRANSFORMERS_FOLDER)


def _write_pipeline(pipeline: Any, run: Path) -> None:
    # Renamed at the end, so that an interrupted run leaves no half-written pipeline.
    temporary_folder = run / f"{PIPELINE_FOLDER}.part"
    shutil.rmtree(temporary_folder, ignore_errors=True)
    pipeline.save_pretrained(temporary_folder)
    _copy_tokenizer(pipeline, temporary_folder / _TOKENIZER)
    temporary_folder.rename(run / PIPELINE_FOLDER)


def _copy_tokenizer(pipeline: Any, target: Path) -> None:
    """Copy the tokenizer's files from the model that the run began with.

    transformers 5 saves them without ``vocab.json`` and ``merges.txt``, and transformers 4 does not
    open the pipeline without these.
    """
    source = Path(pipeline.tokenizer.name_or_path)
    if not source.is_dir():
        return
    for path in sorted(source.iterdir()):
        if path.is_file():
            shutil.copyfile(path, target / path.name)


def _write_transformers_config(config: Any, folder: Path) -> None:
    config.save_pretrained(folder)
    processor = Path(config.name_or_path) / PROCESSOR_FILE
    if processor.is_file():
        with replacing(folder / PROCESSOR_FILE) as temporary_path:
            temporary_path.write_bytes(processor.read_bytes())


def write_run_weights(network: TunedNetwork, run: Path) -> None:
    """Write a run's own weights, and those of its folder for transformers or diffusers.

    The tensors of a transformers model or backbone are stored under the names that
    ``save_pretrained`` gives them, because the names of its modules differ between versions. A
    version that did not find them would fill the tensors with random numbers, and only warn.
    """
    if isinstance(network, TransformersNetwork | DepthProNetwork):
        _write_transformers_weights(network, run)
        return
    save_tensors(stored_weights(network), run / WEIGHTS)
    if isinstance(network, LatentNetwork):
        path = run / PIPELINE_FOLDER / "unet" / "diffusion_pytorch_model.safetensors"
        save_weights(network.unet, path, {"format": "pt"})


def _write_transformers_weights(network: TransformersNetwork | DepthProNetwork, run: Path) -> None:
    """Write the weights twice: in the run's own file, and in the folder for transformers.

    Only a file that transformers writes shows under which names ``save_pretrained`` stores the
    tensors. So transformers writes its file first, and the run's own file is made from it.
    """
    transformers_path = run / TRANSFORMERS_FOLDER / WEIGHTS_FILE
    # In the run's folder, because a file can be renamed only within a file system.
    with TemporaryDirectory(dir=run, prefix=".transformers-") as folder:
        saved_path = Path(folder, WEIGHTS_FILE)
        try:
            save_with_hub_tensor_names(network.body, saved_path.parent)
        except (OSError, SafetensorError) as error:
            raise OutputError(
                f"{printable(transformers_path)}: cannot be written: {reason(error)}"
            ) from error

        tensors = {f"{BODY_PREFIX}{name}": tensor for name, tensor in load_file(saved_path).items()}
        save_tensors(tensors, run / WEIGHTS)
        with replacing(transformers_path) as part:
            os.replace(saved_path, part)
