"""Options of a run: the engine, the files that it writes, and videos."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from rilievo.errors import OptionError
from rilievo.extensions.trust import is_import_path
from rilievo.io.outputs.save_options import WRITING, SaveOptions
from rilievo.prediction.output import OUTPUTS
from rilievo.prediction.output_names import split_names, unknown_output_hint
from rilievo.schema.fields import Groups, Interface, Record, option


@dataclass(frozen=True, kw_only=True)
class Engine(Record):
    """Device and engine of a model."""

    device: Annotated[
        str,
        option(in_short_help=True, available_in=Interface.LOCAL, affects="speed", recorded="never"),
    ] = "auto"
    """Device to run on: auto, cpu, cuda, cuda:N, coreml or directml."""
    engine: Annotated[
        str,
        option(in_short_help=True, available_in=Interface.LOCAL, affects="speed", recorded="never"),
    ] = "auto"
    """Inference engine: onnxruntime, openvino (extra 'fast') or torch (models of the extra
    'models', which the others run too, converted once); auto takes the model's default.
    """
    precision: Annotated[str, option(available_in=Interface.LOCAL, recorded="never")] = "fp32"
    """Precision of the arithmetic: fp32; or, faster and less exact, bf16 (openvino, torch), fp16
    (torch on cuda), int8 (onnxruntime, published models and those of the extra 'models').
    """
    threads: Annotated[
        int | None,
        option(
            metavar="N",
            minimum=1,
            available_in=Interface.COMMAND,
            affects="speed",
            recorded="never",
        ),
    ] = None
    """Threads of the network; by default one per core."""


@dataclass(frozen=True, kw_only=True)
class Speed(Engine):
    """Engine and batches of a run."""

    GROUP: ClassVar[str] = "Speed"

    batch_size: Annotated[
        int, option(minimum=1, available_in=Interface.COMMAND, affects="speed", recorded="never")
    ] = 1
    """Photographs that the network takes together; more than one is faster on a GPU."""


ALL = "all"
"""Name that stands for all outputs of rilievo."""


@dataclass(frozen=True, kw_only=True)
class Saving(SaveOptions):
    """Files that a run writes, and how they look."""

    GROUPS: ClassVar[Groups] = {
        SaveOptions.GROUP: ("output", "save", "overwrite", "resume", *WRITING)
    }
    EXCLUSIVE: ClassVar[tuple[tuple[str, str], ...]] = (("resume", "overwrite"),)

    output: Annotated[
        Path,
        option(
            in_short_help=True,
            aliases=("-o",),
            metavar="FOLDER",
            available_in=Interface.COMMAND,
            affects="files",
            recorded="never",
            python_type=str | Path,
        ),
    ] = Path("rilievo-output")
    """Folder for the results; made when missing. Trees of input folders are kept."""
    save: Annotated[
        str,
        option(
            in_short_help=True,
            comma_separated=True,
            metavar="NAME,...",
            names=lambda: OUTPUTS.own,
            expected="text such as 'colour,ply'",
            available_in=Interface.COMMAND,
            affects="files",
            recorded="never",
        ),
    ] = "colour"
    """Outputs to write, separated by commas; or all; or package.module:NAME of your own. A JSON
    file that describes them is always added.
    """
    resume: Annotated[
        bool | Literal["hash"],
        option(
            expected="True, False or 'hash'",
            available_in=Interface.COMMAND,
            affects="files",
            recorded="never",
        ),
    ] = False
    """Make files of an earlier run anew also where their SHA-256 differs (--resume=hash). Without
    =hash it has no effect: every run skips what one with the same options finished, and makes anew
    what is missing, of another size, or begins or ends in zeros.
    """

    @cached_property
    def formats(self) -> tuple[str, ...]:
        """Names in ``OUTPUTS`` of the outputs to write, in the order of that table.

        Raises:
            OptionError: If ``save`` names no output, an unknown one, or the JSON.
        """
        names = split_names(self.save)
        if not names:
            known = ", ".join(OUTPUTS)
            raise OptionError(option="save", problem=f"names nothing; known: {known}, all")
        for name in names:
            _check_output(name)
        of_all = OUTPUTS.own if ALL in names else ()
        return OUTPUTS.sorted_names([*names, *of_all])

    @property
    def asks_for_all(self) -> bool:
        """Whether all outputs are asked for, so that those that cannot be made are left out."""
        return ALL in split_names(self.save)


def _check_output(name: str) -> None:
    """Refuse an unknown output, and load an output of the user."""
    if is_import_path(name):
        OUTPUTS.find(name)
    elif name == "json":
        problem = "json: leave it out, since a JSON is always written"
        raise OptionError(option="save", problem=problem)
    elif name != ALL and name not in OUTPUTS:
        hint = unknown_output_hint(name, [*OUTPUTS, ALL])
        raise OptionError(option="save", problem=f"has no '{name}'; {hint}")


@dataclass(frozen=True, kw_only=True)
class VideoOptions(Record):
    """Treatment of videos."""

    GROUP: ClassVar[str] = "Video"

    sequence: Annotated[
        bool, option(in_short_help=True, available_in=Interface.COMMAND, recorded="never")
    ] = False
    """Take a folder of frames as one clip, in the order of their names."""
    fps: Annotated[
        float | None,
        option(
            in_short_help=True,
            metavar="RATE",
            minimum=0.001,
            maximum=1000,
            available_in=Interface.COMMAND,
            recorded="never",
        ),
    ] = None
    """Frames to keep of each second of a video, nearest in time; by default all. Of a sequence:
    frames per second; by default 30.
    """
    independent: Annotated[bool, option(available_in=Interface.COMMAND, recorded="never")] = False
    """Keep each frame's own scale; by default scales are aligned to avoid flicker."""
