"""Names under which transformers stores tensors, the same from one release to the next.

transformers renames the modules of its models now and then. Released files keep their names, which
``save_pretrained`` writes and ``from_pretrained`` reads in every version. A file under the names of
modules could be read by one version alone, so that runs store released names.
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


def save_under_released_names(body: Any, folder: Path) -> None:
    """Save a model by ``save_pretrained``, in one file, under the names of released files.

    A model remembers the names of the file that it was read from, and writes them again. They may
    be module names of one version of transformers, so a model that has read nothing writes them.
    """
    from transformers.initialization import no_init_weights

    tensors = {name: tensor.detach().cpu() for name, tensor in body.state_dict().items()}
    with silence_libraries("transformers"):
        with torch.device("meta"), no_init_weights():
            writer = type(body)(copy.deepcopy(body.config))
        writer.save_pretrained(folder, state_dict=tensors, max_shard_size="1TB")


def released_tensors(body: Any) -> Mapping[str, Tensor]:
    """Tensors of a model under the names of released files."""
    from safetensors.torch import load_file

    with TemporaryDirectory(prefix="rilievo-") as folder:
        save_under_released_names(body, Path(folder))
        return load_file(Path(folder, WEIGHTS_FILE))


def fill_copy(body: Any, tensors: Mapping[str, Tensor]) -> tuple[Any, Mapping[str, Any]]:
    """Fill a copy of a model, whichever version of transformers named the tensors.

    Returns:
        The copy, and what ``from_pretrained`` reports: missing, unexpected and misshapen tensors.
    """
    with silence_libraries("transformers"):
        # transformers writes into the configuration that it is given.
        return type(body).from_pretrained(
            None,
            config=copy.deepcopy(body.config),
            state_dict=dict(tensors),
            dtype=torch.float32,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
