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
"""Extra of the package that installs what weights are read with."""
_BATCH_COUNTER = "num_batches_tracked"
"""End of the names of counters of batches, which old files lack."""
_WRAPPERS = ("state_dict", "model", "teacher", "student", "network", "module")
"""Names under which training programs store the tensors of a network."""
_PREFIXES = ("module.", "backbone.", "encoder.", "model.")
"""Beginnings that training programs add to the names of tensors."""

State = Mapping[str, Tensor]
"""Tensors by name."""
Entries = Mapping[str, Any]
"""Contents of a file by name, which may be anything."""
Renamed = Callable[[State], State]
"""Function that renames tensors."""


def read_state(path: Path) -> State:
    """Read the tensors of a file by their names, without what training programs wrap them in.

    Raises:
        MissingExtraError: Without safetensors.
        ModelError: If the file has no tensors, or is broken.
    """
    check_regular(path)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content = load_file(path)
        else:
            check_zip_ratio(path, most_ratio=STORED_RATIO)
            content = torch.load(path, map_location="cpu", weights_only=True)
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{printable(path)}: safetensors", EXTRA) from error
    except Exception as error:  # torch.load raises whatever its unpickler does
        raise ModelError(f"{path}: no weights: {reason(error)}") from error
    entries = _unwrap(content)
    tensors = {str(key): entry for key, entry in entries.items() if isinstance(entry, Tensor)}
    if not tensors:
        raise ModelError(f"{path}: no weights: expected tensors by their names")
    return tensors


def _unwrap(content: Any) -> Entries:
    """Contents of a file in which training programs put them; empty if there are none."""
    while isinstance(content, Mapping):
        wrapped = [content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)]
        if not wrapped:
            return content
        content = wrapped[0]
    return {}


def load_weights(network: nn.Module, path: Path, *, renamed: Renamed | None = None) -> None:
    """Fill a network from a file, and warn of tensors that it does not have.

    Args:
        network: Network to fill.
        path: File of weights.
        renamed: Function that gives the tensors the network's names.

    Raises:
        ModelError: If a tensor is missing or has another shape.
    """
    expected = network.state_dict()
    state = _strip_prefixes_that_hide_keys(read_state(path), expected)
    try:
        state = renamed(state) if renamed is not None else state
    except (KeyError, RuntimeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{path}: not weights of {type(network).__name__}: {reason(error)}"
        ) from error
    network.load_state_dict(select_network_tensors(network, state, path))
    extra = [key for key in state if key not in expected]
    check_whole(printable(path), (), (), extra)


def select_network_tensors(
    network: nn.Module, entries: Entries, path: Path, prefix: str = ""
) -> State:
    """Select the tensors of a network from the contents of a file.

    Args:
        network: Network whose tensors are selected.
        entries: Contents of the file by name.
        path: The file, for errors.
        prefix: Beginning of their names in the file.

    Raises:
        ModelError: If a tensor is missing, has another shape, or is none.
    """
    state: dict[str, Tensor] = {}
    missing: list[str] = []
    misshapen: list[str] = []
    for key, expected in network.state_dict().items():
        tensor = entries.get(prefix + key)
        # Files of the oldest versions of torch do not count batches.
        if tensor is None and key.endswith(_BATCH_COUNTER):
            state[key] = torch.zeros((), dtype=torch.int64)
            continue
        if tensor is None:
            missing.append(prefix + key)
            continue
        check_tensor_of_numbers(tensor, prefix + key, path)
        if tensor.shape != expected.shape:
            shapes = f"{tuple(tensor.shape)} instead of {tuple(expected.shape)}"
            misshapen.append(f"{prefix}{key} {shapes}")
            continue
        state[key] = tensor.to(expected.dtype)
    check_whole(printable(path), missing, misshapen)
    return state


def check_tensor_of_numbers(tensor: object, name: str, path: Path) -> None:
    """Raise ``ModelError`` for anything but a dense tensor of real numbers."""
    if not isinstance(tensor, Tensor) or tensor.layout is not torch.strided:
        raise ModelError(f"{path}: '{name}' is no tensor of numbers")
    if tensor.is_complex() or tensor.is_quantized or tensor.dtype is torch.bool:
        raise ModelError(f"{path}: '{name}' is {tensor.dtype}, expected float32")


def check_whole(
    name: str, missing: Sequence[str], misshapen: Sequence[str], extra: Sequence[str] = ()
) -> None:
    """Check that weights fill a whole network, and warn of those that are not used.

    Args:
        name: Name of the network or file, for the messages.
        missing: Names of tensors that are missing.
        misshapen: Names of tensors of another shape.
        extra: Names of tensors that the network does not have.

    Raises:
        ModelError: If tensors are missing or misshapen.
    """
    kinds = (("missing", missing), ("misshapen", misshapen), ("extra", extra))
    details = "; ".join(f"{words}: {_first_three_names(keys)}" for words, keys in kinds if keys)
    if missing or misshapen:
        raise ModelError(f"{name}: weights that do not fill the network, {details}")
    if extra:
        warnings.warn(f"{name} has unused tensors, {details}", stacklevel=4)


def check_loading_report(
    name: str, info: Mapping[str, Any], *, prefix: str = "", optional: re.Pattern[str] | None = None
) -> None:
    """Check what ``from_pretrained`` of transformers or diffusers reports, as ``check_whole`` does.

    Args:
        name: Name of the network or file, for the messages.
        info: The report.
        prefix: Beginning to add to the names of tensors.
        optional: Pattern of tensors that may be missing or unused.

    Raises:
        ModelError: If tensors are missing or misshapen.
    """
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
    """SHA-256 of the weights and persistent buffers of a network."""
    return tensors_sha256(network.state_dict())


def tensors_sha256(tensors: State) -> str:
    """SHA-256 of tensors, with their names, types and shapes."""
    digest = hashlib.sha256()
    for name, value in sorted(tensors.items()):
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}\n".encode())
        flat = value.detach().cpu().contiguous().reshape(-1)
        digest.update(np.asarray(flat.view(torch.uint8).numpy()).data)
    return digest.hexdigest()


@contextmanager
def temporary_torch_seed(seed: int) -> Iterator[None]:
    """Seed torch's random numbers on the CPU in the block, and restore them after it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


@contextmanager
def silence_libraries(*libraries: str) -> Iterator[None]:
    """Silence the logs and progress bars of transformers or diffusers in the block."""
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
    """Error that explains in one line why a backbone cannot be downloaded or loaded."""
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


def _strip_prefixes_that_hide_keys(state: State, expected: State) -> State:
    """Remove those prefixes from names without which more names are expected ones."""
    for prefix in _PREFIXES:
        shorter = {key.removeprefix(prefix): tensor for key, tensor in state.items()}
        if len(shorter) == len(state) and len(shorter.keys() & expected) > len(
            state.keys() & expected
        ):
            state = shorter
    return state


def _first_three_names(names: Sequence[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(printable, names[:3])) + rest
