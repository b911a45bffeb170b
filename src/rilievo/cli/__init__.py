"""The command ``rilievo``, with a module for each subcommand."""

import errno
import gc
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module

from rilievo.cli.streams import open_streams, print_to_stderr, printing, say
from rilievo.errors import RilievoError, suggest
from rilievo.errors.messages import (
    for_terminal,
    join_alternatives,
    set_terminal_spelling,
    spell_flag,
    spell_keyword,
)
from rilievo.extensions import subpackages
from rilievo.system import signals
from rilievo.version import VERSION

Main = Callable[..., int]

USAGE_ERROR = 2
"""Exit code after any ``RilievoError``."""
EXIT_CODE_OF_CTRL_C = 130
"""Exit code after Ctrl-C: 128 + SIGINT."""

# A new command is a module with a function ``main(arguments) -> exit code``, and a line here. A
# module that is not in this folder must be listed in ``rilievo.extensions.subpackages``.
COMMANDS: Mapping[str, str] = {
    "predict": "predict depth, normals and surfaces of photographs and videos",
    "measure": "measure distances, lengths, areas and objects, with error ranges",
    "surface": "make a surface from a photograph and its depth map",
    "markers": "write a page of markers to print, to get metres in photographs",
    "models": "list, describe and download models",
    "export": "write a model as a self-contained ONNX file",
    "datasets": "list datasets with source, licence and layout",
    "check": "check a downloaded dataset for missing and broken files",
    "verify": "check that results, runs and models have not been changed",
    "train": "train a probe or a depth network",
    "probe": "train and compare depth and normals probes on many backbones",
    "evaluate": "score a model, or a folder of predictions, on a dataset",
    "benchmarks": "list benchmarks with their metrics and the papers they follow",
    "compare": "compare evaluations, with significance tests",
    "trajectory": "estimate the path of the camera in a clip",
    "fuse": "make one coloured surface from the frames of a clip",
    "app": "open a web app that predicts depth for uploaded photographs",
    "page": "write a website that predicts depth in the visitor's browser",
    "serve": "start an HTTP server for depth and measurements",
    "mcp": "give an AI assistant tools to measure in photographs (MCP)",
    "view": "show a dataset, predictions or evaluations in FiftyOne",
    "report": "write a dataset, predictions or evaluations as HTML pages",
    "example": "write an example program for Blender, C++, COLMAP or ROS 2",
    "completion": "print a script that completes commands in bash, zsh or fish",
}
"""Summaries of the commands, in the order of the help."""

CORE_COMMANDS = (
    *("predict", "measure", "surface", "markers", "models", "verify", "example", "completion"),
)
"""Commands whose module has their name and is in this folder."""


def run() -> int:
    """Run the command line of this process; return its exit code."""
    # Signals are handled first, because loading the other modules takes a while.
    signals.install_handlers()
    exit_code = EXIT_CODE_OF_CTRL_C
    try:
        open_streams()
        exit_code = main()
    except KeyboardInterrupt as error:
        signals.handle_if_ctrl_c(error)
        print_to_stderr("rilievo: stopped")
    finally:
        # Nothing is left to clean up, so another Ctrl-C must not print a traceback.
        signals.exit_at_next_signal(exit_code)
    # Skip the garbage collection at exit, which takes 40 of the 350 ms of a cold start. Not with
    # triton, which comes with torch on CUDA and reports every object that is left as a leak.
    if "triton" not in sys.modules:
        gc.freeze()
    return exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, print errors that the user can mend in one line, return the exit code."""
    set_terminal_spelling(spell_flag)
    try:
        return _run_command(list(sys.argv[1:] if arguments is None else arguments))
    except (Exception, KeyboardInterrupt) as error:
        if signals.is_interruption(error):
            print_to_stderr(f"rilievo: {for_terminal(signals.interruption_place(error))}")
            return EXIT_CODE_OF_CTRL_C
        message = _system_problem_hint(error) or _unfit_torchvision_message(error)
        if not message and not isinstance(error, RilievoError):
            raise
        print_to_stderr(f"rilievo: {message or for_terminal(error)}")
        return USAGE_ERROR
    finally:
        set_terminal_spelling(spell_keyword)


def _system_problem_hint(error: BaseException) -> str:
    """Advice if the operating system caused an error; "" for other errors."""
    # Libraries wrap the system's errors in their own, so the text counts, and not ``errno``.
    text = str(error)
    if os.strerror(errno.EMFILE) in text:
        return "too many open files: raise the limit on open files (ulimit -n 4096)"
    if "can't start new thread" in text:
        return "no more threads can be started: raise the limit on processes (ulimit -u)"
    try:
        os.getcwd()
    except FileNotFoundError:
        return "the working folder was deleted: change to another folder (cd)"
    return ""


def _unfit_torchvision_message(error: BaseException) -> str:
    """Message if torchvision was built for another torch; "" for other errors.

    timm and transformers import torchvision, which fails with an error of torch.
    """
    cause: BaseException | None = error
    while cause is not None and not _is_about_torchvision(str(cause)):
        cause = cause.__cause__ or cause.__context__
    if cause is None:
        return ""
    versions = {name: _installed_version(name) for name in ("torchvision", "torch")}
    return (
        f"torchvision {versions['torchvision']} does not fit torch {versions['torch']}: install "
        "both anew, together and from the same index (pip install --force-reinstall torch "
        "torchvision)"
    )


def _is_about_torchvision(text: str) -> bool:
    return "operator torchvision::" in text or "PyTorch and torchvision were compiled" in text


def _installed_version(name: str) -> str:
    """Version of an installed package."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version(name)
    except PackageNotFoundError:
        return "(unknown version)"


def _run_command(arguments: Sequence[str]) -> int:
    """Run the command that the first word names; return its exit code."""
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help"):
        _print_wrapped(_help_text())
        return 0 if arguments else USAGE_ERROR
    if name in ("--version", "version"):
        _print_wrapped(f"rilievo {VERSION}")
        return 0
    if name == "help":
        return _run_command([*arguments[1:], "--help"])
    main = find_command(name)
    if main is None:
        raise _unknown_command_error(name)
    if name == "completion":  # it has to know the other commands
        return main(arguments[1:], COMMANDS, _run_command)
    return main(arguments[1:])


def _unknown_command_error(name: str) -> RilievoError:
    if name.startswith("-"):
        return RilievoError(f"no option {name}; {suggest(name, ['--version', '--help'])}")
    # Imported on demand, because most commands are known.
    from rilievo.errors.foreign_names import hint_for_command

    hint = hint_for_command(name) or _similar_commands_hint(name)
    return RilievoError(f"no command '{name}'; {hint}")


def _similar_commands_hint(name: str) -> str:
    """Suggest a command that was abbreviated or misspelt; otherwise list all commands."""
    from rilievo.errors.typing_errors import names_meant_by

    abbreviated = [command for command in COMMANDS if command.startswith(name)]
    similar = abbreviated or names_meant_by(name, COMMANDS)
    if similar:
        return f"did you mean {join_alternatives(map(repr, similar))}?"
    if "." in name:  # the user may have left out the command before a file
        return f"to predict, write: rilievo predict {name}"
    return f"known: {', '.join(COMMANDS)}"


def find_command(name: str) -> Main | None:
    """Import the main function of a command; return None if there is no such command."""
    with _without_garbage_collection():
        if name in CORE_COMMANDS:
            return import_module(f"rilievo.cli.{name}").main
        from rilievo.extensions.foreign_code import load_named

        return load_named(subpackages.COMMANDS, name, kind="command")


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Pause garbage collection while modules are imported, because each collection takes 10 ms."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # imported modules stay, so later collections need not scan them
        if was_enabled:
            gc.enable()


_FIRST_COMMANDS: Mapping[str, str] = {
    "rilievo predict photo.jpg": "a depth picture in rilievo-output/",
    "rilievo predict photo.jpg --quality good": "finer, in metres; downloads 141 MB",
    "rilievo predict photos/ --save all -o out": "all outputs for a whole folder",
    "rilievo help COMMAND": "help on a command; --all lists every option",
    "rilievo --version": "",
}
"""Command lines for beginners, and what they do."""


def _help_text() -> str:
    from rilievo.system.terminal import bold, help_width, wrap_line

    width = help_width()
    title = "rilievo: depth, surface normals and a 3-D surface from one photograph."
    lines = [wrap_line(title, width, 0), "", "usage: rilievo COMMAND [OPTIONS]", ""]
    for name, summary in COMMANDS.items():
        line = wrap_line(f"  {name:<12}{summary}", width)
        lines.append(line.replace(name, bold(name), 1))
    lines += ["", *_first_command_lines(width)]
    return "\n".join(lines)


def _first_command_lines(width: int) -> Iterator[str]:
    """Yield the commands for beginners, with explanations beside them if the width allows it."""
    from rilievo.system.terminal import dim

    column_width = max(len(command) for command in _FIRST_COMMANDS)
    max_text = max(len(text) for text in _FIRST_COMMANDS.values())
    fits_in_columns = column_width + 4 + max_text <= width
    for command, text in _FIRST_COMMANDS.items():
        if fits_in_columns:
            yield f"  {command:<{column_width}}  {dim(text)}".rstrip()
        else:
            yield f"  {command}"
            if text:
                yield dim(f"      {text}")


def _print_wrapped(text: str) -> None:
    with printing():
        say(text)
