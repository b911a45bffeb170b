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
from rilievo.extensions.foreign_code import extension_fault, load_entry_point, load_user_object
from rilievo.extensions.trust import is_import_path
from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.models.function_model import card_of, function_as_model
from rilievo.models.load_options import LoadOptions
from rilievo.models.network_files import sha256
from rilievo.models.requests import FoundModel, ModelRequest
from rilievo.records.prediction_record import Setting
from rilievo.records.sample import Photo

Answer = Callable[[Photo], Inference]
"""Function that runs a model on one photograph."""
Load = Callable[[LoadOptions], Any]
"""Function that loads a model, and returns an ``Answer`` or a ``Model``."""


def outside_model(card: ModelCard, *, weights: str | Path | None = None) -> Callable[[Load], Load]:
    """Decorator for a function that loads a model with this card.

    The function takes ``LoadOptions``, and returns a function from a ``Photo`` to an ``Inference``,
    or a ``Model``. Results record the SHA-256 of the file ``weights``, or of the function's source
    file if there are no weights.
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
        infer_photo: Answer,
        *,
        weights_sha256: str,
        settings: Mapping[str, Setting] | None = None,
    ) -> None:
        """Wrap ``infer_photo``; predictions record the card, the hash and the settings."""
        self.card = card
        self.weights_sha256 = weights_sha256
        self.settings = settings or {}
        self._infer_photo = infer_photo

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """Call the function for each photograph."""
        return [self._check_inference(self._infer_photo(photo)) for photo in photos]

    def _check_inference(self, returned: object) -> Inference:
        """Return the inference that the function returned, with arrays of 32-bit floats."""
        if not isinstance(returned, Inference):
            raise ModelError(
                f"model '{self.card.name}' returned a {type(returned).__name__}; expected an "
                "Inference from rilievo.models.base"
            )
        if returned.depth is not None and self.card.kind is None:
            raise ModelError(
                f"model '{self.card.name}' returned depth, but its card states no kind of depth; "
                "add kind to the card"
            )
        return replace(
            returned,
            depth=self._float32_array("depth", returned.depth),
            normals=self._float32_array("normals", returned.normals),
            confidence=self._float32_array("confidence", returned.confidence),
            sky=self._float32_array("sky", returned.sky),
        )

    def _float32_array(self, name: str, value: Any) -> np.ndarray | None:
        """Convert a field of an inference, after checking its axes; None stays None."""
        if value is None:
            return None
        array = np.asarray(value, np.float32)
        if name == "normals":
            is_expected_shape = array.ndim == 3 and array.shape[0] == 3
            expected = "(3, height, width)"
        else:
            is_expected_shape = array.ndim == 2
            expected = "(height, width)"
        if not is_expected_shape:
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
    """Turn a function of another package into a model that can be loaded under ``name``.

    The function is decorated with ``rilievo.model`` or with ``outside_model``.

    Raises:
        OptionError: If ``candidate`` is not such a function.
    """
    if callable(candidate) and card_of(candidate) is not None:
        return function_as_model(candidate, name)
    card = getattr(candidate, "card", None)
    if not callable(candidate) or not isinstance(card, ModelCard):
        raise OptionError(
            f"model '{name}' is a {type(candidate).__name__} without a card; expected a function "
            "decorated with @rilievo.model(kind=...), which docs/extending.md explains"
        )
    card = replace(card, name=name)
    return FoundModel(card=card, load=partial(_call_loader, candidate, card))


def _call_loader(load: Callable[..., Any], card: ModelCard, options: LoadOptions) -> Model:
    """Load a model with a function of another package."""
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
    """Hash of the weights of ``outside_model``; without weights, of the function's source file.

    A function without a source file is hashed by its representation.
    """
    weights = getattr(load, "weights", None)
    if weights is not None:
        return sha256(Path(weights))
    source = Path(inspect.getsourcefile(load) or "")
    if source.is_file():
        return sha256(source)
    return hashlib.sha256(repr(load).encode()).hexdigest()
