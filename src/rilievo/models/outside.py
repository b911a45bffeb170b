"""Models that other packages or the user's own modules offer (``docs/extending.md``)."""

import hashlib
import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.errors import ModelError, OptionError, RilievoError
from rilievo.extensions.entry_points import load_entry_point
from rilievo.extensions.foreign_code import extension_fault
from rilievo.extensions.trust import is_import_path
from rilievo.extensions.user_objects import load_user_object
from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.models.function_model import card_of, function_as_model
from rilievo.models.load_options import LoadOptions
from rilievo.models.network_files import sha256
from rilievo.models.requests import FoundModel, ModelRequest
from rilievo.records.prediction_record import Setting
from rilievo.records.sample import Photo

Answer = Callable[[Photo], Inference]
Load = Callable[[LoadOptions], Any]


def outside_model(card: ModelCard, *, weights: str | Path | None = None) -> Callable[[Load], Load]:
    """Decorator of a function that loads a model with this card.

    The function takes ``LoadOptions``, and returns a function from a ``Photo`` to an ``Inference``,
    or a ``Model``. Results record the SHA-256 of the file ``weights``; without one, that of the
    function's source.
    """

    def attach(load: Load) -> Load:
        load.card, load.weights = card, weights  # pyright: ignore[reportFunctionMemberAccess]
        return load

    return attach


class OutsideModel(Model):
    """Model that calls a function from a photograph to an inference."""

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

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """Call the function for each photograph."""
        return [self._check_inference(self._answer(photo)) for photo in photos]

    def _check_inference(self, answer: object) -> Inference:
        """Return what the function returned, as 32-bit floats.

        Raises:
            ModelError: If it is no inference, or has fields of other shapes.
        """
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
    """Find a model by ``package.module:NAME`` or ``path/to/file.py:NAME``."""
    if not is_import_path(request.text):
        return None
    return object_as_model(load_user_object(request.text, "model"), request.text)


def find_installed(request: ModelRequest) -> FoundModel | None:
    """Find a model that an installed package offers (``rilievo.models``)."""
    if os.path.exists(request.name):
        return None
    offered = load_entry_point(request.text, "model")
    return None if offered is None else object_as_model(offered, request.text)


def object_as_model(candidate: object, name: str) -> FoundModel:
    """Offer an object of another package as a model.

    Raises:
        OptionError: If it is not a function with a card.
    """
    if callable(candidate) and card_of(candidate) is not None:
        return function_as_model(candidate, name)
    card = getattr(candidate, "card", None)
    if not callable(candidate) or not isinstance(card, ModelCard):
        raise OptionError(
            f"model '{name}' is a {type(candidate).__name__} without a card; expected a function "
            "under @rilievo.model(kind=...): docs/extending.md"
        )
    card = replace(card, name=name)
    return FoundModel(card=card, load=partial(_call_loader, candidate, card))


def _call_loader(load: Callable[..., Any], card: ModelCard, options: LoadOptions) -> Model:
    """Load a model with a function of another package.

    Raises:
        ModelError: If the function fails, or returns something else.
    """
    try:
        model = load(options)
    except (RilievoError, MemoryError):
        raise
    except Exception as error:
        fault = extension_fault(error) or repr(error)
        raise ModelError(f"model '{card.name}' cannot be loaded: {fault}") from error
    if isinstance(model, Model):
        return model
    if not callable(model):
        raise ModelError(
            f"model '{card.name}': its function returned a {type(model).__name__}; expected a "
            "function from a Photo to an Inference, or a Model"
        )
    return OutsideModel(card, model, weights_sha256=_weights_or_source_sha256(load))


def _weights_or_source_sha256(load: Callable[..., Any]) -> str:
    weights = getattr(load, "weights", None)
    if weights is not None:
        return sha256(Path(weights))
    source = Path(inspect.getsourcefile(load) or "")
    return sha256(source) if source.is_file() else hashlib.sha256(repr(load).encode()).hexdigest()
