"""Options of a run: trusted code, the engine, the files that it writes, and videos."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from rilievo.errors import OptionError
from rilievo.extensions.trust import is_import_path
from rilievo.io.outputs.save_options import WRITING, SaveOptions
from rilievo.prediction.output import OUTPUTS
from rilievo.prediction.output_names import split_names, unknown_output_hint
from rilievo.schema.fields import FieldsByTitle, Interface, Record, option


@dataclass(frozen=True, kw_only=True)
class TrustOptions(Record):
    """Which code of the user may run because a file names it."""

    trust_code: Annotated[
        tuple[str, ...],
        option(
            repeats=True,
            metavar="MODULE:NAME",
            available_in=Interface.LOCAL,
            recorded="never",
            python_type=Sequence[str],
        ),
    ] = ()
    """Code that a file is allowed to run, such as the backbone of another person's training run.
    Write package.module:NAME or FILE.py:NAME, exactly as the file states it. Files that need other
    code are refused. Repeat the option for several.
    """


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
    """Inference engine: onnxruntime, openvino (extra 'fast') or torch (for models of the extra
    'models', which rilievo can also convert once for the other engines). auto: the model's default.
    """
    precision: Annotated[str, option(available_in=Interface.LOCAL, recorded="never")] = "fp32"
    """Precision of the arithmetic: fp32, or one that is faster and less exact: bf16 (openvino,
    torch), fp16 (torch on cuda) or int8 (onnxruntime, for published models and those of the extra
    'models').
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
    """Number of threads for the network; by default one per core."""


@dataclass(frozen=True, kw_only=True)
class Speed(Engine):
    """Engine and batches of a run."""

    HELP_TITLE: ClassVar[str] = "Speed"

    batch_size: Annotated[
        int, option(minimum=1, available_in=Interface.COMMAND, affects="speed", recorded="never")
    ] = 1
    """Number of photographs that the network processes together; more than one is faster on a GPU.
    """


ALL = "all"
"""Name that stands for all outputs of rilievo."""


@dataclass(frozen=True, kw_only=True)
class Saving(SaveOptions):
    """Files that a run writes, and how they look."""

    # In ``option``, ``available_in`` limits the interfaces that offer an option, ``affects`` says
    # what it changes besides results, and ``recorded`` when results state its value.
    FIELDS_BY_TITLE: ClassVar[FieldsByTitle] = {
        SaveOptions.HELP_TITLE: ("output", "save", "overwrite", "resume", *WRITING)
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
    """Folder for the results, which is created if necessary. It keeps the tree of input folders."""
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
    """Outputs to write, separated by commas, or 'all', or package.module:NAME for your own. A JSON
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
    """With --resume=hash, also replace files of an earlier run whose SHA-256 differs. Without
    =hash, the option has no effect, because every run skips what an earlier run with the same
    options has finished, and replaces its files that are missing, have another size, or begin or
    end with zeros.
    """

    @cached_property
    def formats(self) -> tuple[str, ...]:
        """Names in ``OUTPUTS`` of the outputs to write, in the order of that table.

        Raises:
            OptionError: If ``save`` names no output, an unknown one, or the JSON.
        """
        names = split_names(self.save)
        if not names:
            known_names = ", ".join(OUTPUTS)
            raise OptionError(option="save", problem=f"is empty; known: {known_names}, all")
        for name in names:
            _check_output(name)
        names_in_all = OUTPUTS.own if ALL in names else ()
        return OUTPUTS.sorted_names([*names, *names_in_all])

    @property
    def asks_for_all(self) -> bool:
        """Whether all outputs are asked for, so that those that cannot be made are left out."""
        return ALL in split_names(self.save)


def _check_output(name: str) -> None:
    """Check that an output exists, and load it if it is the user's own."""
    if is_import_path(name):
        OUTPUTS.find(name)
    elif name == "json":
        problem = "does not need json, because a JSON file is always written"
        raise OptionError(option="save", problem=problem, hint="leave it out")
    elif name != ALL and name not in OUTPUTS:
        hint = unknown_output_hint(name, [*OUTPUTS, ALL])
        raise OptionError(option="save", problem=f"does not accept '{name}'; {hint}")


@dataclass(frozen=True, kw_only=True)
class VideoOptions(Record):
    """Treatment of videos."""

    HELP_TITLE: ClassVar[str] = "Video"

    sequence: Annotated[
        bool, option(in_short_help=True, available_in=Interface.COMMAND, recorded="never")
    ] = False
    """Treat a folder of frames as one clip, in the order of their names, or the frames of a pattern
    such as shot.%04d.png or shot.####.png, in the order of their numbers.
    """
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
    """Frames to keep per second of a video, those nearest in time; by default all. For a folder of
    frames (--sequence), the rate at which they were taken; by default 30.
    """
    independent: Annotated[bool, option(available_in=Interface.COMMAND, recorded="never")] = False
    """Keep the scale of each frame. By default, scales are aligned to avoid flicker."""
