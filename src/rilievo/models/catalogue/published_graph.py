"""Adapter that runs a published ONNX file, of any family."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from rilievo.errors import ModelError, suggest
from rilievo.models.base import Inference, Model, infer_by_size
from rilievo.models.card import ModelCard
from rilievo.models.catalogue.graph_inputs import (
    PICTURE,
    GraphInputs,
    InputMaker,
    make_input_maker,
)
from rilievo.models.catalogue.graph_outputs import OUTPUT_READERS, GraphOutputs
from rilievo.models.catalogue.table import NetworkFamily, find_entry, network_family
from rilievo.models.load_options import LoadOptions
from rilievo.models.onnx_files.engines import Session, open_session
from rilievo.models.resampling.inference import Arrays
from rilievo.records.sample import Photo


class PublishedGraph(Model):
    """Model of the catalogue, in a published ONNX file."""

    def __init__(
        self,
        session: Session,
        card: ModelCard,
        family: NetworkFamily,
        *,
        input_names: Mapping[str, str],
        input_maker: InputMaker,
        weights_sha256: str,
    ) -> None:
        """Store the parts that ``open_graph`` opens; ``input_names`` are by their roles."""
        self.card = card
        self.weights_sha256 = weights_sha256
        self.family = family
        self.settings = {**session.settings, **input_maker.settings}
        self._session = session
        self._input_names = input_names
        self._input_maker = input_maker

    def run_network(self, photos: Sequence[Photo]) -> list[Inference]:
        """Run photographs of one size together, if the network takes batches."""
        if self.family.one_by_one:
            return [inference for photo in photos for inference in self._infer_batch([photo])]
        return infer_by_size(photos, self._input_maker.size, self._infer_batch)

    def _infer_batch(self, photos: Sequence[Photo]) -> Iterator[Inference]:
        """Run photographs whose inputs have one size in one batch, and yield their inferences."""
        inputs = self._input_maker.make_inputs(photos)
        outputs = self._run_session(inputs)
        for index, photo in enumerate(photos):
            arrays = {
                name: self._batch_element(name, array, index, len(photos))
                for name, array in outputs.items()
            }
            read_outputs = OUTPUT_READERS[self.family.output_form]
            yield read_outputs(
                GraphOutputs(
                    model=self.card.name,
                    family=self.family,
                    arrays=arrays,
                    photo=photo,
                    inputs=inputs,
                )
            )

    def _run_session(self, inputs: GraphInputs) -> Arrays:
        """Run the network, and return its outputs by name as 32-bit floats."""
        arrays_by_name = {
            self._input_names[role]: np.asarray(array, order="C")
            for role, array in inputs.arrays.items()
        }
        if len(arrays_by_name) == 1:
            [(name, picture)] = arrays_by_name.items()
            outputs = self._session.run(picture, name)
        else:
            outputs = self._session.feed(arrays_by_name)
        return {name: array.astype(np.float32, copy=False) for name, array in outputs.items()}

    def _batch_element(
        self, name: str, array: np.ndarray, index: int, photo_count: int
    ) -> np.ndarray:
        """Output of one photograph of the batch, as a batch of one."""
        if photo_count == 1:
            return array
        if array.ndim == 0 or len(array) != photo_count:
            raise ModelError(
                f"model '{self.card.name}': output '{name}' has shape {array.shape}, expected "
                f"({photo_count}, ...)"
            )
        return array[index : index + 1]


def open_graph(path: Path, options: LoadOptions, card: ModelCard, *, weights_sha256: str) -> Model:
    """Open a model of the catalogue from its ONNX file.

    Raises:
        ModelError: If the file is no network of its family.
    """
    family = network_family(find_entry(card.name).family)
    session = open_session(path, options, f"model '{card.name}'")
    input_names = _input_names_by_role(path, family, session)
    input_maker = make_input_maker(family, path, options.settings, card.name)
    if family.output_form not in OUTPUT_READERS:
        raise ModelError(
            f"known.toml, the row '{family.name}': there is no output_form "
            f"'{family.output_form}'; {suggest(family.output_form, OUTPUT_READERS)}"
        )
    return PublishedGraph(
        session,
        card,
        family,
        input_names=input_names,
        input_maker=input_maker,
        weights_sha256=weights_sha256,
    )


def _input_names_by_role(path: Path, family: NetworkFamily, session: Session) -> Mapping[str, str]:
    """Names of a file's inputs by their roles; a single input is the picture whatever its name."""
    if family.inputs:
        missing = sorted(set(family.inputs.values()) - set(session.input_names))
        if missing:
            raise ModelError(
                f"is not a network of {family.name}: it has no input {missing[0]!r}", path=path
            )
        return family.inputs
    if len(session.input_names) != 1:
        names = ", ".join(session.input_names) or "none"
        raise ModelError(
            f"expected a network whose only input is a picture, but its inputs are: {names}",
            path=path,
        )
    return {PICTURE: session.input_names[0]}
