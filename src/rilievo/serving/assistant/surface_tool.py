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

_OUTPUT_NAMES = {
    output.tool.name: name for name, output in OUTPUTS.own.items() if output.tool is not None
}
"""Name of the output that the tool writes, by value of ``format``."""
_FORMATS = {
    output.tool.name: output.tool for output in OUTPUTS.own.values() if output.tool is not None
}
"""Description of the output for assistants, by value of ``format``."""
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
    """Predict a photograph, write its surface into a new file, and report the file."""
    photograph = photographs.predict_photo(request.photo)
    stem = photographs.folders.output_stem(photograph.photo_version.path)
    path = _save_under_free_name(photograph.prediction, stem, _OUTPUT_NAMES[request.format])
    unit = METRES if photograph.is_metric else UNKNOWN_UNIT
    record = SurfaceResult(
        path=str(path), bytes=path.stat().st_size, unit=unit, facts=list(photograph.facts.sentences)
    )
    megabytes = math.ceil(record.bytes / 1e5) / 10  # rounded up to a tenth, so never 0
    text = join_nonempty_lines(
        (
            f"Wrote {quoted(path.name)} to {printable(path.parent)} ({megabytes:g} MB), "
            f"for {_FORMATS[request.format].opened_by}.",
            "Its coordinates are in metres." if photograph.is_metric else "Its scale is unknown.",
            size_source_sentence(photograph, unit),
            notes_text(photograph.notes_without_scale_source),
        )
    )
    return ToolAnswer(text=text, result=record)


def _save_under_free_name(prediction: Prediction, stem: Path, output: str) -> Path:
    """Save an output at ``stem``, or at stem-2, stem-3, ... if such files exist already."""
    for number in range(1, _MAX_NUMBERED_FILES):
        numbered_stem = stem if number == 1 else stem.with_name(f"{stem.name}-{number}")
        path = numbered_stem.with_name(numbered_stem.name + OUTPUTS[output].suffix)
        is_taken = path.exists() or path.is_symlink() or sidecar_path(numbered_stem).exists()
        try:
            return save(prediction, numbered_stem, [output])[0]
        except OutputError:
            if not is_taken:
                raise
    raise OutputError(
        f"{_MAX_NUMBERED_FILES - 1} surfaces with this name already exist; move or delete some",
        path=quoted(stem.name),
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
        "Write the visible surface of a photograph to a file on this machine and return its path: "
        f"{' or '.join(form.content for form in _FORMATS.values())}. Coordinates are in metres if "
        "a size is known (tool 'known'). Existing files are not overwritten."
    ),
    arguments_type=_ARGUMENTS_WITH_FORMATS,
    result_type=SurfaceResult,
    answer=write_surface,
    only_reads=False,
)
