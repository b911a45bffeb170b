"""Tool ``surface``."""

import math
from pathlib import Path
from typing import Literal

from pydantic import ConfigDict, Field, create_model

from rilievo.errors import OutputError
from rilievo.io.files.names import printable
from rilievo.io.outputs.sidecar import sidecar_path
from rilievo.prediction import Prediction
from rilievo.prediction.output import OUTPUTS
from rilievo.prediction.saving import save
from rilievo.serving.assistant.named_folders import quoted
from rilievo.serving.assistant.photographs import METRES, UNKNOWN, Photographs
from rilievo.serving.assistant.tool import (
    AssistantTool,
    ToolAnswer,
    ToolArguments,
    ToolResult,
    join_nonempty_lines,
    notes_text,
    size_source_sentence,
)

_OUTPUTS = {row.tool.name: name for name, row in OUTPUTS.own.items() if row.tool is not None}
_FORMS = {row.tool.name: row.tool for row in OUTPUTS.own.values() if row.tool is not None}
_MOST_NAMES = 1000


class SurfaceParams(ToolArguments):
    """Arguments of ``surface``."""

    # Words of formats come from the table, so that no source is read for them.
    model_config = ConfigDict(use_attribute_docstrings=False)

    format: str = "glb"


class SurfaceResult(ToolResult):
    """A file that was written."""

    path: str
    """Absolute path of the file."""
    bytes: int
    """Size of the file."""
    unit: str
    """Unit of its coordinates: m, or unknown."""
    facts: list[str]
    """Facts stated about this photograph."""


def write_surface(photographs: Photographs, request: SurfaceParams) -> ToolAnswer[SurfaceResult]:
    """Write the surface into a file of a free name."""
    photograph = photographs.predict_photo(request.photo)
    target = photographs.folders.output_stem(photograph.stamp.path)
    path = _save_under_free_name(photograph.prediction, target, _OUTPUTS[request.format])
    unit = METRES if photograph.is_metric else UNKNOWN
    record = SurfaceResult(
        path=str(path), bytes=path.stat().st_size, unit=unit, facts=[*photograph.facts.sentences]
    )
    megabytes = max(0.1, math.ceil(record.bytes / 1e5) / 10)
    text = join_nonempty_lines(
        (
            f"Written: {quoted(path.name)} in {printable(path.parent)} ({megabytes:g} MB), "
            f"for {_FORMS[request.format].opened_by}.",
            "Its coordinates are in metres." if photograph.is_metric else "Its size has no unit.",
            size_source_sentence(photograph, unit),
            notes_text(photograph.notes_besides_metres),
        )
    )
    return ToolAnswer(text=text, result=record)


def _save_under_free_name(prediction: Prediction, target: Path, output: str) -> Path:
    for number in range(1, _MOST_NAMES):
        stem = target if number == 1 else target.with_name(f"{target.name}-{number}")
        path = stem.with_name(stem.name + OUTPUTS[output].suffix)
        is_taken = path.exists() or path.is_symlink() or sidecar_path(stem).exists()
        try:
            return save(prediction, stem, [output])[0]
        except OutputError:
            if not is_taken:
                raise
    raise OutputError(f"{_MOST_NAMES} surfaces of this name are there", path=quoted(target.name))


_ASKED = create_model(
    SurfaceParams.__name__,
    __base__=SurfaceParams,
    __doc__=SurfaceParams.__doc__,
    format=(
        Literal[tuple(_FORMS)],  # pyright: ignore
        Field(
            default="glb",
            description="; ".join(f"{name}: {form.content}" for name, form in _FORMS.items()) + ".",
        ),
    ),
)

SURFACE = AssistantTool(
    name="surface",
    title="Surface of a photograph as a file",
    description=(
        "Write the surface seen in one photograph into a file on this machine, and tell its path: "
        f"{' or '.join(form.content for form in _FORMS.values())}. In metres if a size is known "
        "(tool 'known'). Nothing that is there is overwritten."
    ),
    params_type=_ASKED,
    result_type=SurfaceResult,
    answer=write_surface,
    only_reads=False,
)
