"""Models of other packages (``docs/extending.md``), and functions as models."""

import hashlib
import inspect
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, SupportsIndex, TypeVar

import numpy as np

from rilievo.arrays.shapes import Float32
from rilievo.errors import ModelError, OptionError, RilievoError, first_line, suggest
from rilievo.extensions.entry_points import load_entry_point
from rilievo.extensions.foreign_code import extension_fault
from rilievo.extensions.trust import is_import_path
from rilievo.extensions.user_objects import load_user_object
from rilievo.models.base import Inference, Model
from rilievo.models.card import NOT_STATED, ModelCard
from rilievo.models.load_options import LoadOptions
from rilievo.models.network_files import sha256
from rilievo.models.requests import (
    DepthFunction,
    FoundModel,
    ModelRequest,
    is_module_level,
    registered_function,
)
from rilievo.records.depth_map import DepthKind
from rilievo.records.prediction_record import Setting
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

    The image is uint8 (h, w, 3) RGB, upright; depth floats (h, w) or smaller. It serves as
    ``model=my_function`` or ``--model my_file.py:my_function``.

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
            raise OptionError(f"@rilievo.model is of a function, got {function!r}")
        target: Any = function
        target.card, target.gives_depth = (
            _function_card(function, DepthKind(kind), licence, summary),
            True,
        )
        target.weights = weights
        return function

    return attach


class FunctionModel(Model):
    """Model of a function; up to scale without a card."""

    def __init__(self, function: DepthFunction, name: str) -> None:
        self.function, self.settings = function, {}
        self.card = replace(card_of(function) or _function_card(function), name=name)
        self.weights_sha256 = _hash_of_function(function)

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Call the function for each photograph."""
        return [
            Inference(depth=self._checked(self.function(photo.pixels.copy()), photo))
            for photo in photos
        ]

    def __reduce_ex__(self, protocol: SupportsIndex) -> str | tuple[Any, ...]:
        if not is_module_level(self.function):
            raise OptionError(
                f"model '{self.card.name}' cannot be imported by other processes: define the "
                "function at the top of a module, or work in this process alone"
            )
        return super().__reduce_ex__(protocol)

    def _checked(self, answer: Any, photo: Photo) -> Float32[np.ndarray, "a b"]:
        subject, (height, width) = f"model '{self.card.name}' returned", photo.shape
        expected = f"expected depth as floats (height, width), at most ({height}, {width})"
        try:
            depth = np.asarray(answer)
        except Exception as error:  # of tensors on a GPU, for example
            what = f"a {type(answer).__name__} that is no array"
            raise ModelError(f"{subject} {what}: {first_line(error)}") from error
        if depth.ndim != 2 or not depth.size:
            what = f"shape {depth.shape}" if depth.ndim else f"a {type(answer).__name__}"
            raise ModelError(f"{subject} {what}; {expected}")
        if depth.dtype.kind != "f":
            raise ModelError(f"{subject} {depth.dtype} numbers; {expected}")
        if depth.shape == (width, height) != (height, width):
            raise ModelError(f"{subject} shape {depth.shape}, columns before rows; {expected}")
        if depth.shape[0] > height or depth.shape[1] > width:
            raise ModelError(f"{subject} shape {depth.shape}; {expected}")
        return np.ascontiguousarray(depth, np.float32)


def card_of(function: object) -> ModelCard | None:
    """Card of a decorated function."""
    card = getattr(function, "card", None)
    is_decorated = getattr(function, "gives_depth", False) is True
    return card if is_decorated and isinstance(card, ModelCard) else None


def function_as_model(function: DepthFunction, name: str) -> FoundModel:
    """Make a model of a function."""
    card = replace(card_of(function) or _function_card(function), name=name)
    return FoundModel(card=card, load=lambda options: FunctionModel(function, name))


def find_registered_function(request: ModelRequest) -> FoundModel | None:
    """Find a function that was given in this process."""
    function = registered_function(request.text)
    return None if function is None else function_as_model(function, request.text)


def _function_card(
    function: DepthFunction,
    kind: DepthKind = DepthKind.UP_TO_SCALE,
    licence: str = NOT_STATED,
    summary: str = "",
) -> ModelCard:
    first = (inspect.getdoc(function) or "").partition("\n")[0]
    name = str(getattr(function, "__qualname__", type(function).__qualname__))
    return ModelCard(name=name, summary=summary or first, kind=kind, licence=licence)


def _hash_of_function(function: DepthFunction) -> str:
    """Hash of source, name and weights; random for a closure."""
    digest = hashlib.sha256(str(getattr(function, "__qualname__", "")).encode())
    weights = getattr(function, "weights", None)
    if weights is not None:
        digest.update(sha256(Path(weights)).encode())
    file = Path(inspect.getsourcefile(function) or "") if inspect.isfunction(function) else Path()
    sees_all = inspect.isfunction(function) and function.__closure__ is None and file.is_file()
    digest.update(file.read_bytes() if sees_all else secrets.token_bytes())
    return digest.hexdigest()


Answer = Callable[[Photo], Inference]
Load = Callable[[LoadOptions], Any]


def outside_model(card: ModelCard, *, weights: str | Path | None = None) -> Callable[[Load], Load]:
    """Decorator that turns a loading function into a model.

    It returns a function from ``Photo`` to ``Inference``, or a ``Model``; results record the
    SHA-256 of ``weights``, or its source.
    """

    def attach(load: Load) -> Load:
        load.card, load.weights = card, weights  # pyright: ignore[reportFunctionMemberAccess]
        return load

    return attach


class OutsideModel(Model):
    """Model made from a function of one photograph."""

    def __init__(
        self,
        card: ModelCard,
        answer: Answer,
        *,
        weights_sha256: str,
        settings: Mapping[str, Setting] | None = None,
    ) -> None:
        self.card, self.weights_sha256, self.settings = card, weights_sha256, settings or {}
        self._answer = answer

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Call the function for each photograph."""
        return [self._checked(self._answer(photo)) for photo in photos]

    def _checked(self, answer: object) -> Inference:
        if not isinstance(answer, Inference):
            raise ModelError(
                f"model '{self.card.name}' returned a {type(answer).__name__}; expected an "
                "Inference (rilievo.models.base)"
            )
        if answer.depth is not None and self.card.kind is None:
            raise ModelError(f"model '{self.card.name}' returned depth, and its card has no kind")
        return replace(
            answer,
            depth=self._float32_array("depth", answer.depth, 2),
            normals=self._float32_array("normals", answer.normals, 3),
            confidence=self._float32_array("confidence", answer.confidence, 2),
            sky=self._float32_array("sky", answer.sky, 2),
        )

    def _float32_array(self, name: str, value: Any, axes: int) -> np.ndarray | None:
        if value is None:
            return None
        array = np.asarray(value, np.float32)
        if array.ndim != axes or (name == "normals" and array.shape[0] != 3):
            expected = "(3, height, width)" if axes == 3 else "(height, width)"
            raise ModelError(
                f"model '{self.card.name}' returned {name} of shape {array.shape}, expected "
                f"{expected}"
            )
        return array


def find_import_path(request: ModelRequest) -> FoundModel | None:
    """Find ``package.module:load``."""
    if not is_import_path(request.text):
        return None
    return object_as_model(load_user_object(request.text, "model"), request.text)


def find_installed(request: ModelRequest) -> FoundModel | None:
    """Find a model that an installed package offers."""
    if os.path.exists(request.name):
        return None
    offered = load_entry_point(request.text, "model")
    return None if offered is None else object_as_model(offered, request.text)


def object_as_model(thing: object, name: str) -> FoundModel:
    """Make a model from an object of another package."""
    if callable(thing) and card_of(thing) is not None:
        return function_as_model(thing, name)
    card = getattr(thing, "card", None)
    if not callable(thing) or not isinstance(card, ModelCard):
        raise OptionError(
            f"model '{name}' is a {type(thing).__name__} without a card; expected a function "
            "under @rilievo.model(kind=...): docs/extending.md"
        )
    named = replace(card, name=name)
    return FoundModel(card=named, load=lambda options: _call_loader(thing, named, options))


def _call_loader(load: Callable[..., Any], card: ModelCard, options: LoadOptions) -> Model:
    try:
        made = load(options)
    except (RilievoError, MemoryError):
        raise
    except Exception as error:
        fault = extension_fault(error) or repr(error)
        raise ModelError(f"model '{card.name}' cannot be loaded: {fault}") from error
    if isinstance(made, Model):
        return made
    if not callable(made):
        raise ModelError(
            f"model '{card.name}': its function returned a {type(made).__name__}; expected a "
            "function from a Photo to an Inference, or a Model"
        )
    return OutsideModel(card, made, weights_sha256=_weights_or_source_sha256(load))


def _weights_or_source_sha256(load: Callable[..., Any]) -> str:
    weights = getattr(load, "weights", None)
    if weights is not None:
        return sha256(Path(weights))
    source = Path(inspect.getsourcefile(load) or "")
    return sha256(source) if source.is_file() else hashlib.sha256(repr(load).encode()).hexdigest()
