"""Answers of networks, kept beside the results of photographs."""

import hashlib
import os
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from rilievo.io.checks.sums import sum_of
from rilievo.io.outputs.facts import AnswerFacts
from rilievo.models.base import Inference
from rilievo.models.card import ModelCard
from rilievo.predicting.answers.inference_file import MOST_NUMBERS, write_inference
from rilievo.predicting.options import PredictOptions
from rilievo.prediction.saving import KeptAnswer

SUFFIX = ".answer"
MOST_PHOTOGRAPHS = 100
"""Number of photographs of one run up to which answers are kept unless it is said otherwise."""


def kept_answer(
    inference: Inference, card: ModelCard, source: Path, target: Path
) -> KeptAnswer | None:
    """Content of the file of an answer; None of one that a file does not hold.

    Args:
        inference: Answer of the network.
        card: Card of its model.
        source: The photograph.
        target: Path of the results without suffix.
    """
    fields = (inference.depth, inference.normals)
    if any(field is not None and field.size > MOST_NUMBERS for field in fields):
        return None
    with BytesIO() as file:
        write_inference(inference, file)
        content = file.getvalue()
    return KeptAnswer(
        content=content,
        facts=AnswerFacts(
            file=target.name + SUFFIX,
            kind=card.kind,
            photo=_from(target.parent, source),
            photo_sha256=sum_of(source).sha256,
            bytes=len(content),
            sha256=hashlib.sha256(content).hexdigest(),
        ),
    )


def deciding(options: PredictOptions, photographs: int) -> PredictOptions:
    """Return options that say whether answers of a run of so many photographs are kept."""
    if options.saving.keep_answers != "auto":
        return options
    keep = "on" if photographs <= MOST_PHOTOGRAPHS else "off"
    return replace(options, saving=replace(options.saving, keep_answers=keep))


def not_kept(count: int, keep: str) -> list[str]:
    """Note that answers of so many photographs are not kept by default; none of fewer."""
    if keep != "auto" or count <= MOST_PHOTOGRAPHS:
        return []
    return [
        f"answers of the network are kept for up to {MOST_PHOTOGRAPHS} photographs; for other "
        "formats without it, give --keep-answers on (0.8 to 2.7 MB each)"
    ]


def _from(folder: Path, file: Path) -> str:
    """Path of a file relative to a folder; the whole path where they are on different drives."""
    try:
        return Path(os.path.relpath(file.absolute(), folder.absolute())).as_posix()
    except ValueError:
        return str(file.absolute())
