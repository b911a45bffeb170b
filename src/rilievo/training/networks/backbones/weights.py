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
from rilievo.io.files.limits import check_regular, reason
from rilievo.io.files.names import printable
from rilievo.training.networks.torch_files import load_torch_file

EXTRA = "train"
"""Extra of the package that installs what weights are read with."""
_BATCH_COUNTER = "num_batches_tracked"
"""End of the names of counters of batches, which old files lack."""
_WRAPPERS = ("state_dict", "model", "teacher", "student", "network", "module")
"""Names under which training programs store the tensors of a network."""
_PREFIXES = ("module.", "backbone.", "encoder.", "model.")
"""Beginnings that training programs add to the names of tensors."""

_OFFLINE = (
    "its files are not in the cache and cannot be downloaded: is there an internet connection?"
)
_NOT_FOUND = (
    "the repository does not exist on huggingface.co, or you have no access: check its name, or "
    "set HF_TOKEN"
)
_UNREACHABLE = "huggingface.co cannot be reached: is there an internet connection?"
_EXPLANATIONS_BY_ERROR_NAME = (
    ("OfflineMode", _OFFLINE),
    ("LocalEntryNotFound", _OFFLINE),
    ("Gated", "its authors restrict access: accept its terms on huggingface.co, and set HF_TOKEN"),
    ("RepositoryNotFoundError", _NOT_FOUND),
    ("RevisionNotFoundError", _NOT_FOUND),
    ("Connect", _UNREACHABLE),
    ("Timeout", _UNREACHABLE),
)
"""Why a download failed, by a part of the name of an error's class; the first match counts."""

State = Mapping[str, Tensor]
"""Tensors by name."""
Entries = Mapping[str, Any]
"""Contents of a file by name, which may be anything."""
Rename = Callable[[State], State]
"""Function that gives tensors other names."""


def read_state(path: Path) -> State:
    """Read the tensors of a file by their names, also if a training program wrapped them."""
    check_regular(path)
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            content = load_file(path)
        else:
            content = load_torch_file(path)
    except ModuleNotFoundError as error:
        raise MissingExtraError(f"{printable(path)}: safetensors", EXTRA) from error
    except Exception as error:  # torch.load raises whatever its unpickler does
        raise ModelError(f"{path}: contains no readable weights: {reason(error)}") from error
    entries = _unwrap(content)
    tensors = {str(key): entry for key, entry in entries.items() if isinstance(entry, Tensor)}
    if not tensors:
        raise ModelError(f"{path}: contains no weights; expected named tensors")
    return tensors


def _unwrap(content: Any) -> Entries:
    """Innermost mapping under ``_WRAPPERS`` in the content of a file; empty if it has none."""
    while isinstance(content, Mapping):
        inner = [content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)]
        if not inner:
            return content
        content = inner[0]
    return {}


def load_weights(network: nn.Module, path: Path, *, rename: Rename | None = None) -> None:
    """Load the weights of a network from a file, and warn of tensors in it that are not used.

    ``rename`` maps the names of a checkpoint's tensors to those of the network.
    """
    expected = network.state_dict()
    state = _strip_known_prefixes(read_state(path), expected)
    try:
        if rename is not None:
            state = rename(state)
    except (KeyError, RuntimeError, ValueError, AttributeError) as error:
        raise ModelError(
            f"{path}: the weights do not fit {type(network).__name__}: {reason(error)}"
        ) from error
    network.load_state_dict(select_network_tensors(network, state, path))
    extra = [key for key in state if key not in expected]
    check_complete_weights(printable(path), missing=(), misshapen=(), extra=extra)


def select_network_tensors(
    network: nn.Module, entries: Entries, path: Path, prefix: str = ""
) -> State:
    """Select the tensors of a network from the contents of a file.

    ``entries`` are the contents of the file ``path``, in which names begin with ``prefix``.

    Raises:
        ModelError: If a tensor is missing, has another shape, or is not a tensor of numbers.
    """
    state: dict[str, Tensor] = {}
    missing: list[str] = []
    misshapen: list[str] = []
    for key, expected in network.state_dict().items():
        stored_name = prefix + key
        tensor = entries.get(stored_name)
        if tensor is None and key.endswith(_BATCH_COUNTER):
            # Files of the oldest versions of torch do not count batches.
            state[key] = torch.zeros((), dtype=torch.int64)
        elif tensor is None:
            missing.append(stored_name)
        else:
            check_tensor_of_numbers(tensor, stored_name, path)
            if tensor.shape == expected.shape:
                state[key] = tensor.to(expected.dtype)
            else:
                shapes = f"{tuple(tensor.shape)} instead of {tuple(expected.shape)}"
                misshapen.append(f"{stored_name} {shapes}")
    check_complete_weights(printable(path), missing, misshapen)
    return state


def check_tensor_of_numbers(tensor: object, name: str, path: Path) -> None:
    """Raise ``ModelError`` for anything but a dense tensor of real numbers."""
    if not isinstance(tensor, Tensor) or tensor.layout is not torch.strided:
        raise ModelError(f"{path}: '{name}' is not a numeric tensor")
    if tensor.is_complex() or tensor.is_quantized or tensor.dtype is torch.bool:
        raise ModelError(f"{path}: '{name}' is {tensor.dtype}, expected float32")


def check_complete_weights(
    name: str, missing: Sequence[str], misshapen: Sequence[str], extra: Sequence[str] = ()
) -> None:
    """Check that weights fill a whole network, and warn of ``extra`` ones that are not used.

    ``name`` is the network or file in messages; the other arguments are names of tensors.
    """
    if missing or misshapen:
        names_by_problem = {"missing": missing, "wrong shape": misshapen, "extra": extra}
        details = "; ".join(
            f"{problem}: {_first_three_names(tensor_names)}"
            for problem, tensor_names in names_by_problem.items()
            if tensor_names
        )
        raise ModelError(f"{name}: the weights do not fit the network; {details}")
    if extra:
        warnings.warn(
            f"{name} has tensors that the network does not use: {_first_three_names(extra)}",
            stacklevel=4,
        )


def check_loading_report(
    name: str, info: Mapping[str, Any], *, prefix: str = "", optional: re.Pattern[str] | None = None
) -> None:
    """Check the loading report of transformers or diffusers as ``check_complete_weights`` does.

    The names of tensors get a ``prefix``; those that match ``optional`` may be missing or unused.
    """

    def required_names(keys: Sequence[str]) -> list[str]:
        return sorted(prefix + key for key in keys if not (optional and optional.search(key)))

    missing = required_names(info["missing_keys"])
    extra = required_names(info["unexpected_keys"])
    misshapen = sorted(
        f"{prefix}{key} {tuple(shape)} instead of {tuple(expected)}"
        for key, shape, expected in info["mismatched_keys"]
    )
    check_complete_weights(name, missing, misshapen, extra)


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
    with ExitStack() as restore_at_exit:
        for library in libraries:
            logging = import_module(f"{library}.utils.logging")
            restore_at_exit.callback(logging.set_verbosity, logging.get_verbosity())
            logging.set_verbosity(CRITICAL)
            # The loaders of diffusers use the progress bars of transformers.
            if library == "transformers" and logging.is_progress_bar_enabled():
                restore_at_exit.callback(logging.enable_progress_bar)
                logging.disable_progress_bar()
        yield


def download_error(name: str, error: BaseException) -> ModelError:
    """Error that explains in one line why a backbone cannot be downloaded or loaded."""
    return ModelError(f"backbone '{name}': {_explain_download_error(error)}")


def _explain_download_error(error: BaseException) -> str:
    """Explain an error by its class or that of a cause; otherwise repeat what it says.

    The errors of huggingface_hub and its HTTP client are told apart by the names of their classes.
    """
    class_names = [type(cause).__name__ for cause in _error_and_causes(error)]
    for error_name_part, explanation in _EXPLANATIONS_BY_ERROR_NAME:
        if any(error_name_part in class_name for class_name in class_names):
            return explanation
    return f"cannot be loaded: {reason(error)}"


def _error_and_causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _strip_known_prefixes(state: State, expected: State) -> State:
    """Remove prefixes of training programs from names, where more names are expected ones then."""
    best = state
    for prefix in _PREFIXES:
        stripped = {name.removeprefix(prefix): tensor for name, tensor in best.items()}
        has_unique_names = len(stripped) == len(best)
        num_expected = len(stripped.keys() & expected.keys())
        if has_unique_names and num_expected > len(best.keys() & expected.keys()):
            best = stripped
    return best


def _first_three_names(names: Sequence[str]) -> str:
    rest = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(printable, names[:3])) + rest
