"""Functions of the user as models (``rilievo.model``)."""

import hashlib
import inspect
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, SupportsIndex, TypeVar

import numpy as np

from rilievo.arrays.shapes import Float32
from rilievo.errors import ModelError, OptionError, first_line, suggest
from rilievo.models.base import Inference, Model
from rilievo.models.card import NOT_STATED, ModelCard
from rilievo.models.network_files import sha256
from rilievo.models.requests import (
    DepthFunction,
    FoundModel,
    ModelRequest,
    is_importable,
    registered_function,
)
from rilievo.records.depth_map import DepthKind
from rilievo.records.sample import Photo

SomeFunction = TypeVar("SomeFunction", bound=DepthFunction)


def model(
    *,
    kind: str,
    licence: str = NOT_STATED,
    summary: str = "",
    weights: str | Path | None = None,
) -> Callable[[SomeFunction], SomeFunction]:
    """Decorator that makes a model of a function from an image to its depth.

    The function takes an upright image, uint8 (h, w, 3) RGB, and returns depth as floats (h, w) or
    smaller. Use it as ``model=my_function`` or ``--model my_file.py:my_function``.

    Examples:
        >>> @rilievo.model(kind="metric")
        ... def wall(image):
        ...     return np.full(image.shape[:2], 2.0)
        >>> rilievo.predict("photo.jpg", model=wall).depth
        DepthMap(64x48, metric 2 to 2 m)

    Args:
        kind: metric, up_to_scale, affine or affine_inverse.
        licence: Licence of the weights.
        summary: One line; by default the docstring's.
        weights: File whose SHA-256 results record.

    Raises:
        OptionError: If there is no such kind.
    """
    if kind not in list(DepthKind):
        raise OptionError(f"no kind '{kind}'; {suggest(str(kind), DepthKind)}")

    def attach(function: SomeFunction) -> SomeFunction:
        if not callable(function):
            raise OptionError(f"@rilievo.model must decorate a function, got {function!r}")
        target: Any = function
        target.card = _make_card(function, DepthKind(kind), licence, summary)
        target.gives_depth = True
        target.weights = weights
        return function

    return attach


class FunctionModel(Model):
    """Model that calls a function of the user; without a card its depth is up to scale."""

    def __init__(self, function: DepthFunction, name: str) -> None:
        self.function = function
        self.settings = {}
        self.card = replace(card_of(function) or _make_card(function), name=name)
        self.weights_sha256 = _sha256_of_function(function)

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """Call the function for each photograph."""
        return [
            Inference(depth=self._check_depth(self.function(photo.pixels.copy()), photo))
            for photo in photos
        ]

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        # Pickle calls this method, and its own error would not say what the user can do.
        if not is_importable(self.function):
            raise OptionError(
                f"model '{self.card.name}' cannot be imported by other processes: define "
                "the function at the top level of a module, or use a single process"
            )
        return super().__reduce_ex__(protocol)

    def _check_depth(self, returned: Any, photo: Photo) -> Float32[np.ndarray, "a b"]:
        """Check the depth that the function returned, and make it a contiguous float32 array."""
        model = f"model '{self.card.name}'"
        type_name = type(returned).__name__
        try:
            depth = np.asarray(returned)
        except Exception as error:  # for example for a tensor on a GPU
            raise ModelError(
                f"{model} returned a {type_name} that cannot be converted to an array: "
                f"{first_line(error)}"
            ) from error
        problem = f"a {type_name}" if depth.ndim == 0 else _problem_of_depth_array(depth, photo)
        if problem is not None:
            height, width = photo.shape
            raise ModelError(
                f"{model} returned {problem}; expected depth as floats of shape (height, width), "
                f"at most ({height}, {width})"
            )
        return np.ascontiguousarray(depth, np.float32)


def _problem_of_depth_array(depth: np.ndarray, photo: Photo) -> str | None:
    """What an array has that depth of a photograph cannot have; None if it may be depth."""
    height, width = photo.shape
    array_of_shape = f"an array of shape {depth.shape}"
    if depth.ndim != 2 or depth.size == 0:
        return array_of_shape
    if depth.dtype.kind != "f":
        return f"numbers of type {depth.dtype}"
    is_transposed = depth.shape == (width, height) and width != height
    if is_transposed:
        return f"{array_of_shape}, with columns before rows"
    is_larger_than_photo = depth.shape[0] > height or depth.shape[1] > width
    return array_of_shape if is_larger_than_photo else None


def card_of(function: object) -> ModelCard | None:
    """Card of a function decorated with ``rilievo.model``; None for any other object."""
    card = getattr(function, "card", None)
    is_decorated = getattr(function, "gives_depth", False) is True
    return card if is_decorated and isinstance(card, ModelCard) else None


def function_as_model(function: DepthFunction, name: str) -> FoundModel:
    """Offer a function of the user as a model."""
    card = replace(card_of(function) or _make_card(function), name=name)
    return FoundModel(card=card, load=lambda options: FunctionModel(function, name))


def find_registered_function(request: ModelRequest) -> FoundModel | None:
    """Find a function that was registered in this process."""
    function = registered_function(request.text)
    return None if function is None else function_as_model(function, request.text)


def _make_card(
    function: DepthFunction,
    kind: DepthKind = DepthKind.UP_TO_SCALE,
    licence: str = NOT_STATED,
    summary: str = "",
) -> ModelCard:
    first_doc_line = (inspect.getdoc(function) or "").partition("\n")[0]
    name = str(getattr(function, "__qualname__", type(function).__qualname__))
    return ModelCard(name=name, summary=summary or first_doc_line, kind=kind, licence=licence)


def _sha256_of_function(function: DepthFunction) -> str:
    """SHA-256 by which results record a function, as they record a network by its weights.

    Results with equal hashes count as made by the same function. So the hash covers the name of the
    function, the file with its source, and the file with its weights, if it has any. If the source
    does not determine what the function does, a random number makes the hash unique.
    """
    qualified_name = str(getattr(function, "__qualname__", ""))
    digest = hashlib.sha256(qualified_name.encode())
    weights_file = getattr(function, "weights", None)
    if weights_file is not None:
        digest.update(sha256(Path(weights_file)).encode())
    source = _read_source_file(function)
    digest.update(secrets.token_bytes() if source is None else source)
    return digest.hexdigest()


def _read_source_file(function: DepthFunction) -> bytes | None:
    """Content of the file that defines a function; None if it does not determine the function.

    That is so for closures and callable objects, which also depend on values, and for functions
    without a file, such as those typed into Python's prompt.
    """
    if not inspect.isfunction(function) or function.__closure__ is not None:
        return None
    file = Path(inspect.getsourcefile(function) or "")
    return file.read_bytes() if file.is_file() else None
