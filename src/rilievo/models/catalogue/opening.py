"""Load a model of the catalogue: find its files, then open its graph."""

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

from rilievo.errors import ModelError, OptionError
from rilievo.models.base import Model
from rilievo.models.card import ModelCard
from rilievo.models.catalogue.download import fetch_files
from rilievo.models.catalogue.graphs.published_graph import open_graph
from rilievo.models.catalogue.table import find_entry
from rilievo.models.catalogue.verified_files import check
from rilievo.models.conversion.agreement import check_limits, compare_answers, example_photo
from rilievo.models.conversion.converted_files import FP32, INT8, Origin, open_converted
from rilievo.models.conversion.quantisation import quantise
from rilievo.models.load_options import AUTO, ONNX_ENGINES, LoadOptions
from rilievo.models.weights_hash import combined

_ENGINE = ONNX_ENGINES[0]


def _quantise(
    name: str, files: Sequence[Path], open_model: Callable[[Path], Model], part: Path
) -> None:
    """Write a model of the catalogue in 8 bits, if its answers stay near enough."""
    photo = example_photo()
    [reference] = open_model(files[0]).infer([photo])
    # The quantiser writes beside its source, which is no place of ours.
    with tempfile.TemporaryDirectory(dir=part.parent) as work:
        for each in files:
            shutil.copyfile(each, Path(work) / each.name)
        quantise(Path(work) / files[0].name, part)
    [answer] = open_model(part).infer([photo])
    try:
        check_limits(compare_answers(reference, answer), INT8)
    except ModelError as error:
        raise ModelError(f"model '{name}': {error}") from error


def load(card: ModelCard, options: LoadOptions) -> Model:
    """Load a model from the cache, downloading it first where needed (``ModelCard.loader``)."""
    if options.revision is not None:
        raise ModelError(
            f"model '{card.name}' is pinned to one commit, so it takes no '@{options.revision}'"
        )
    entry = find_entry(card.name)
    files = fetch_files(entry)
    digests = [check(each, file, entry.name) for each, file in zip(files, entry.files, strict=True)]
    weights = combined(digests)

    def open_model(path: Path, chosen: LoadOptions) -> Model:
        return open_graph(path, chosen, card, weights_sha256=weights)

    if options.precision != INT8:
        return open_model(files[0], options)
    if options.engine not in (AUTO, _ENGINE):
        raise OptionError(
            f"model '{card.name}' is run in int8 by {_ENGINE}, not by {options.engine}; "
            "openvino has bf16"
        )
    options = replace(options, engine=_ENGINE)
    plain = partial(open_model, chosen=replace(options, precision=FP32))
    origin = Origin(
        card=card,
        files={file.path: digest for file, digest in zip(entry.files, digests, strict=True)},
        weights_sha256=weights,
        converter=lambda: lambda part, _: _quantise(card.name, files, plain, part),
        open=open_model,
    )
    return open_converted(origin, options)
