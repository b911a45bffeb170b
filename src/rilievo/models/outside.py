"""Models that stay outside rilievo: one function and a card.

``docs/extending.md`` shows how; ``-m package.module:load`` and the entry-point group
``rilievo.models`` find them.
"""

import hashlib
import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rilievo.errors import ModelError, OptionError
from rilievo.models.base import Inference, Model
from rilievo.models.card import ModelCard
from rilievo.models.engines import LoadOptions
from rilievo.models.finders import Found
from rilievo.models.hub_lock import sha256
from rilievo.types import Photo, Setting

Answer = Callable[[Photo], Inference]
"""A network made ready: its answer for one photograph, in rilievo's conventions."""
Load = Callable[[LoadOptions], Any]


def outside_model(card: ModelCard, *, weights: str | Path | None = None) -> Callable[[Load], Load]:
    """Decorator that makes a function into a model.

    The function makes the network ready and returns what answers for one photograph: a function
    from ``Photo`` to ``Inference``, or a ``Model``.

    Args:
        card: What a user must know of it.
        weights: File of its weights, whose sha256 results carry; by default they carry that of
            the function's source.
    """

    def attach(load: Load) -> Load:
        load.card, load.weights = card, weights  # pyright: ignore[reportFunctionMemberAccess]
        return load

    return attach


class OutsideModel(Model):
    """A function from a photograph to an answer, behind the verbs of every model."""

    def __init__(
        self,
        card: ModelCard,
        answer: Answer,
        *,
        weights_sha256: str,
        settings: Mapping[str, Setting] | None = None,
    ) -> None:
        """Make it.

        Args:
            card: What a user must know of it.
            answer: Its answer for one photograph.
            weights_sha256: Hash that results carry.
            settings: What results say of how it is run.
        """
        self.card, self.weights_sha256, self.settings = card, weights_sha256, settings or {}
        self._answer = answer

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Call the function, one photograph after the other.

        Raises:
            ModelError: If it returns something else than an ``Inference`` of arrays.
        """
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
            depth=self._array("depth", answer.depth, 2),
            normals=self._array("normals", answer.normals, 3),
            confidence=self._array("confidence", answer.confidence, 2),
        )

    def _array(self, name: str, value: Any, axes: int) -> np.ndarray | None:
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


def found_outside(thing: object, name: str) -> Found:
    """The model that an object of somebody else's is.

    Args:
        thing: A function with a card (``outside_model``), or a class derived from ``Model``.
        name: How the user calls it.

    Raises:
        OptionError: If it is neither.
    """
    card = getattr(thing, "card", None)
    if not callable(thing) or not isinstance(card, ModelCard):
        raise OptionError(
            f"model '{name}' is a {type(thing).__name__} without a card; expected a function "
            "under @rilievo.models.outside.outside_model(card): docs/extending.md"
        )
    named = replace(card, name=name)
    return Found(card=named, load=lambda options: _loaded(thing, named, options))


def _loaded(load: Callable[..., Any], card: ModelCard, options: LoadOptions) -> Model:
    made = load(options)
    if isinstance(made, Model):
        return made
    if not callable(made):
        raise ModelError(
            f"model '{card.name}': its function returned a {type(made).__name__}; expected a "
            "function from a Photo to an Inference, or a Model"
        )
    return OutsideModel(card, made, weights_sha256=_hash(load))


def _hash(load: Callable[..., Any]) -> str:
    """Hash of the weights where the function names them, else of its source."""
    weights = getattr(load, "weights", None)
    if weights is not None:
        return sha256(Path(weights))
    source = Path(inspect.getsourcefile(load) or "")
    return sha256(source) if source.is_file() else hashlib.sha256(repr(load).encode()).hexdigest()
