"""The tool ``surface``, which writes the surface of a photograph into a file."""

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
from rilievo.serving.assistant.photographs import METRES, UNKNOWN_UNIT, Photographs
from rilievo.serving.assistant.tool import (
    AssistantTool,
    ToolAnswer,
    ToolArguments,
    ToolResult,
    join_nonempty_lines,
    notes_text,
    size_source_sentence,
)

_OUTPUT_NAMES = {row.tool.name: name for name, row in OUTPUTS.own.items() if row.tool is not None}
"""Output that the tool writes for each value of ``format``."""
_FORMATS = {row.tool.name: row.tool for row in OUTPUTS.own.values() if row.tool is not None}
_MAX_NUMBERED_FILES = 1000


class SurfaceArguments(ToolArguments):
    """Arguments of ``surface``."""

    # The description of ``format`` comes from the table of outputs, not from a docstring.
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


def write_surface(photographs: Photographs, request: SurfaceArguments) -> ToolAnswer[SurfaceResult]:
    """Write the surface into a file with a name that is not taken yet."""
    photograph = photographs.predict_photo(request.photo)
    target = photographs.folders.output_stem(photograph.stamp.path)
    path = _save_under_free_name(photograph.prediction, target, _OUTPUT_NAMES[request.format])
    unit = METRES if photograph.is_metric else UNKNOWN_UNIT
    record = SurfaceResult(
        path=str(path), bytes=path.stat().st_size, unit=unit, facts=list(photograph.facts.sentences)
    )
    megabytes = max(0.1, math.ceil(record.bytes / 1e5) / 10)  # to the next tenth
    text = join_nonempty_lines(
        (
            f"Written: {quoted(path.name)} in {printable(path.parent)} ({megabytes:g} MB), "
            f"for {_FORMATS[request.format].opened_by}.",
            "Its coordinates are in metres." if photograph.is_metric else "Its size has no unit.",
            size_source_sentence(photograph, unit),
            notes_text(photograph.notes_besides_metres),
        )
    )
    return ToolAnswer(text=text, result=record)


def _save_under_free_name(prediction: Prediction, target: Path, output: str) -> Path:
    """Save an output at ``target``, or at target-2, target-3, ... if files are in the way."""
    for number in range(1, _MAX_NUMBERED_FILES):
        stem = target if number == 1 else target.with_name(f"{target.name}-{number}")
        path = stem.with_name(stem.name + OUTPUTS[output].suffix)
        is_taken = path.exists() or path.is_symlink() or sidecar_path(stem).exists()
        try:
            return save(prediction, stem, [output])[0]
        except OutputError:
            if not is_taken:
                raise
    raise OutputError(
        f"{_MAX_NUMBERED_FILES} surfaces of this name are there", path=quoted(target.name)
    )


_ARGUMENTS_WITH_FORMATS = create_model(
    SurfaceArguments.__name__,
    __base__=SurfaceArguments,
    __doc__=SurfaceArguments.__doc__,
    format=(
        Literal[tuple(_FORMATS)],  # pyright: ignore
        Field(
            default="glb",
            description="; ".join(f"{name}: {form.content}" for name, form in _FORMATS.items())
            + ".",
        ),
    ),
)

SURFACE = AssistantTool(
    name="surface",
    title="Surface of a photograph as a file",
    description=(
        "Write the surface seen in one photograph into a file on this machine, and tell its path: "
        f"{' or '.join(form.content for form in _FORMATS.values())}. In metres if a size is known "
        "(tool 'known'). Nothing that is there is overwritten."
    ),
    arguments_type=_ARGUMENTS_WITH_FORMATS,
    result_type=SurfaceResult,
    answer=write_surface,
    only_reads=False,
)
