"""Adapter of all published graphs: photographs in, answers read, as the table of graphs says."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from rilievo.errors import ModelError
from rilievo.models.base import Inference, Model, in_groups
from rilievo.models.card import ModelCard
from rilievo.models.catalogue.graphs.feeding import FEEDERS, PICTURE, Fed
from rilievo.models.catalogue.graphs.graph_facts import GraphFacts, graph_facts
from rilievo.models.catalogue.graphs.post_functions import POST_FUNCTIONS, GraphAnswer
from rilievo.models.catalogue.table import find_entry
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.engines import Session, open_session
from rilievo.models.resampling.answer_rule import Arrays
from rilievo.types import Photo


class PublishedGraph(Model):
    """A published graph in an ONNX file."""

    def __init__(
        self,
        path: Path,
        options: LoadOptions,
        card: ModelCard,
        facts: GraphFacts,
        *,
        weights_sha256: str,
    ) -> None:
        self.card, self.weights_sha256, self.facts = card, weights_sha256, facts
        self._session = open_session(path, options, f"model '{card.name}'")
        self._names = _input_names(path, facts, self._session)
        self._feeder = FEEDERS[facts.feeding](path, facts, options.settings, card.name)
        self._read = POST_FUNCTIONS[facts.reading]
        self.settings = {**self._session.settings, **self._feeder.settings}

    def infer(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run the graph on photographs of one size together, if it takes batches."""
        if self.facts.one_by_one:
            return [answer for photo in photos for answer in self._together([photo])]
        return in_groups(photos, self._feeder.size, self._together)

    def _together(self, photos: Sequence[Photo]) -> Iterator[Inference]:
        fed = self._feeder.feed(photos)
        for photo, outputs in zip(photos, self._run(fed, len(photos)), strict=True):
            answer = GraphAnswer(
                model=self.card.name,
                facts=self.facts,
                outputs=outputs,
                photo=photo,
                fed=fed,
            )
            yield self._read(answer)

    def _run(self, fed: Fed, count: int) -> Iterator[Arrays]:
        """Run the graph; float32 outputs of each photograph."""
        inputs = {self._names[role]: np.asarray(a, order="C") for role, a in fed.inputs.items()}
        [picture, *others] = inputs
        if others:
            answers = self._session.feed(inputs)
        else:
            answers = self._session.run(inputs[picture], picture)
        answers = {key: array.astype(np.float32, copy=False) for key, array in answers.items()}
        for row in range(count):
            yield {key: self._row(key, array, row, count) for key, array in answers.items()}

    def _row(self, name: str, array: np.ndarray, row: int, count: int) -> np.ndarray:
        if count == 1:
            return array
        if array.ndim == 0 or len(array) != count:
            raise ModelError(
                f"model '{self.card.name}': output '{name}' is {array.shape}, expected "
                f"({count}, ...)"
            )
        return array[row : row + 1]


def open_graph(path: Path, options: LoadOptions, card: ModelCard, *, weights_sha256: str) -> Model:
    """Open the file of a model of the catalogue."""
    facts = graph_facts(find_entry(card.name).graph)
    return PublishedGraph(path, options, card, facts, weights_sha256=weights_sha256)


def _input_names(path: Path, facts: GraphFacts, session: Session) -> Mapping[str, str]:
    """Names of the inputs by role."""
    if facts.inputs:
        missing = sorted(set(facts.inputs.values()) - set(session.input_names))
        if missing:
            raise ModelError(
                (f"not a graph of {facts.name}: it has no input {missing[0]!r}"), path=path
            )
        return facts.inputs
    if len(session.input_names) != 1:
        raise ModelError(
            (
                "expected a graph with one picture as input; it has the "
                f"inputs {', '.join(session.input_names)}"
            ),
            path=path,
        )
    return {PICTURE: session.input_names[0]}
