"""Names of tensors in files on the Hugging Face hub, which runs store.

transformers renames the modules of its models now and then. Files on the hub keep their names,
which ``save_pretrained`` writes and ``from_pretrained`` reads in every version. A file with the
names of modules could be read by one version alone.
"""

import copy
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import Tensor

from rilievo.training.networks.backbones.weights import silence_libraries

WEIGHTS_FILE = "model.safetensors"


def save_with_hub_tensor_names(network: Any, folder: Path) -> None:
    """Save a transformers model into a folder, with its tensors named as in files on the hub.

    ``save_pretrained`` writes all tensors into one file. It would name them as in the file that the
    model was read from, which may have the module names of one version of transformers. So they are
    saved through a new model of the same class, which has read no file, and whose own weights need
    no memory (device "meta").
    """
    from transformers.initialization import no_init_weights

    tensors = {name: tensor.detach().cpu() for name, tensor in network.state_dict().items()}
    with silence_libraries("transformers"):
        with torch.device("meta"), no_init_weights():
            new_model = type(network)(copy.deepcopy(network.config))
        new_model.save_pretrained(folder, state_dict=tensors, max_shard_size="1TB")


def tensors_by_hub_name(network: Any) -> Mapping[str, Tensor]:
    """Tensors of a transformers model, by the names that they have in files on the hub."""
    from safetensors.torch import load_file

    with TemporaryDirectory(prefix="rilievo-") as folder:
        save_with_hub_tensor_names(network, Path(folder))
        return load_file(Path(folder, WEIGHTS_FILE))


def fill_copy(network: Any, tensors: Mapping[str, Tensor]) -> tuple[Any, Mapping[str, Any]]:
    """Load tensors into a copy of a model; any version of transformers may have named them.

    Returns:
        The copy, and the loading report of ``from_pretrained``: the names of missing, unexpected
        and misshapen tensors.
    """
    with silence_libraries("transformers"):
        # transformers writes into the configuration that it is given.
        return type(network).from_pretrained(
            None,
            config=copy.deepcopy(network.config),
            state_dict=dict(tensors),
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
