"""Weights of backbones, read without running code."""

import hashlib
import re
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from importlib import import_module
from logging import CRITICAL
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from rilievo.errors import MissingExtraError, ModelError
from rilievo.io.files.archives import STORED_RATIO, check_zip_ratio
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.files.names import printable

EXTRA = "train"
_COUNTER = "num_batches_tracked"
_WHOLE = ("state_dict", "model", "teacher", "student", "network", "module")
_PREFIXES = ("module.", "backbone.", "encoder.", "model.")

State = Mapping[str, Tensor]
Entries = Mapping[str, Any]
Renamed = Callable[[State], State]


def read_state(path: Path) -> State:
    """Read a file's tensors, without the wrapping of training programs."""
    check_regular(path)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            held = load_file(path)
        else:
            check_zip_ratio(path, most_ratio=STORED_RATIO)
            held = torch.load(path, map_location="cpu", weights_only=True)
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{printable(path)}: safetensors", EXTRA) from error
    except Exception as error:  # torch.load raises whatever its unpickler does
        raise ModelError(f"{path}: no weights: {reason(error)}") from error
    while isinstance(held, Mapping) and any(isinstance(held.get(key), Mapping) for key in _WHOLE):
        held = next(held[key] for key in _WHOLE if isinstance(held.get(key), Mapping))
    if not isinstance(held, Mapping) or not any(
        isinstance(entry, Tensor) for entry in held.values()
    ):
        raise ModelError(f"{path}: no weights: expected tensors by their names")
    return {str(key): entry for key, entry in held.items() if isinstance(entry, Tensor)}


def load_weights(network: nn.Module, path: Path, *, renamed: Renamed | None = None) -> None:
    """Fill every tensor of ``network``; warn of unused ones."""
    wanted = network.state_dict()
    state = _strip_prefixes_that_hide_keys(read_state(path), wanted)
    try:
        state = renamed(state) if renamed is not None else state
    except (KeyError, RuntimeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{path}: not weights of {type(network).__name__}: {reason(error)}"
        ) from error
    network.load_state_dict(select_network_tensors(network, state, path))
    extra = [key for key in state if key not in wanted]
    check_whole(printable(path), (), (), extra)


def select_network_tensors(
    network: nn.Module, entries: Entries, path: Path, prefix: str = ""
) -> State:
    """Take off ``prefix``; ``ModelError`` where tensors are missing or misshapen."""
    state, missing, misshapen = {}, [], []
    for key, wanted in network.state_dict().items():
        tensor = entries.get(prefix + key)
        # Files of the oldest versions of torch do not count batches.
        if tensor is None and key.endswith(_COUNTER):
            state[key] = torch.zeros((), dtype=torch.int64)
            continue
        if tensor is None:
            missing.append(prefix + key)
            continue
        check_tensor_of_numbers(tensor, prefix + key, path)
        if tensor.shape != wanted.shape:
            shapes = f"{tuple(tensor.shape)} instead of {tuple(wanted.shape)}"
            misshapen.append(f"{prefix}{key} {shapes}")
            continue
        state[key] = tensor.to(wanted.dtype)
    check_whole(printable(path), missing, misshapen)
    return state


def check_tensor_of_numbers(tensor: object, name: str, path: Path) -> None:
    """Refuse what is no dense tensor of real numbers."""
    if not isinstance(tensor, Tensor) or tensor.layout is not torch.strided:
        raise ModelError(f"{path}: '{name}' is no tensor of numbers")
    if tensor.is_complex() or tensor.is_quantized or tensor.dtype is torch.bool:
        raise ModelError(f"{path}: '{name}' is {tensor.dtype}, expected float32")


def check_whole(
    name: str, missing: Sequence[str], misshapen: Sequence[str], extra: Sequence[str] = ()
) -> None:
    """Refuse weights that leave tensors random; warn of unused ones."""
    kinds = (("missing", missing), ("misshapen", misshapen), ("extra", extra))
    details = "; ".join(f"{words}: {_first_three_names(keys)}" for words, keys in kinds if keys)
    if missing or misshapen:
        raise ModelError(f"{name}: weights that do not fill the network, {details}")
    if extra:
        warnings.warn(f"{name} has unused tensors, {details}", stacklevel=4)


def check_loading_report(
    name: str, info: Mapping[str, Any], *, prefix: str = "", optional: re.Pattern[str] | None = None
) -> None:
    """Check ``info`` of ``from_pretrained``, except ``optional`` tensors."""
    missing, extra = (
        sorted(prefix + key for key in info[keys] if not (optional and optional.search(key)))
        for keys in ("missing_keys", "unexpected_keys")
    )
    misshapen = sorted(
        f"{prefix}{key} {tuple(shape)} instead of {tuple(expected)}"
        for key, shape, expected in info["mismatched_keys"]
    )
    check_whole(name, missing, misshapen, extra)


def weights_sha256(network: nn.Module) -> str:
    """Hash parameters and persistent buffers by name."""
    return tensors_sha256(network.state_dict())


def tensors_sha256(tensors: State) -> str:
    """Hash tensors by name."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(np.asarray(flat.view(torch.uint8).numpy()).data)
    return digest.hexdigest()


@contextmanager
def temporary_torch_seed(seed: int) -> Iterator[None]:
    """Seed the CPU for a block."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextmanager
def silence_libraries(*libraries: str) -> Iterator[None]:
    """Silence transformers or diffusers for a block."""
    with ExitStack() as restored:
        for library in libraries:
            logging = import_module(f"{library}.utils.logging")
            restored.callback(logging.set_verbosity, logging.get_verbosity())
            logging.set_verbosity(CRITICAL)
            # The loaders of diffusers draw with the bars of transformers.
            if library == "transformers" and logging.is_progress_bar_enabled():
                restored.callback(logging.enable_progress_bar)
                logging.disable_progress_bar()
        yield


def download_error(name: str, error: BaseException) -> ModelError:
    """Explain a failed download in one line."""
    kinds = [type(cause).__name__ for cause in _error_and_causes(error)]
    if any("OfflineMode" in kind or "LocalEntryNotFound" in kind for kind in kinds):
        why = "its files are not in the cache and cannot be fetched: is there a network?"
    elif any("Gated" in kind for kind in kinds):
        why = "accept its terms on its page at huggingface.co and set HF_TOKEN"
    elif any(kind in ("RepositoryNotFoundError", "RevisionNotFoundError") for kind in kinds):
        why = "huggingface.co has no such repository, or it needs HF_TOKEN"
    elif any("Connect" in kind or "Timeout" in kind for kind in kinds):
        why = "huggingface.co cannot be reached: is there a network?"
    else:
        why = f"cannot be loaded: {reason(error)}"
    return ModelError(f"backbone '{name}': {why}")


def _error_and_causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _strip_prefixes_that_hide_keys(state: State, wanted: State) -> State:
    for prefix in _PREFIXES:
        shorter = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
        if len(shorter) == len(state) and len(shorter.keys() & wanted) > len(state.keys() & wanted):
            state = shorter
    return state


def _first_three_names(names: Sequence[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(printable, names[:3])) + rest
