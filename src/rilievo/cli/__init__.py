"""The command ``rilievo``, with a module for each subcommand."""

import errno
import gc
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib import import_module

from rilievo.cli.streams import complain, open_streams, printing, say
from rilievo.errors import RilievoError, suggest
from rilievo.errors.messages import for_terminal, set_terminal_spelling, spell_flag, spell_keyword
from rilievo.extensions import subpackages
from rilievo.system import signals
from rilievo.version import VERSION

Main = Callable[..., int]

USAGE_ERROR = 2
"""Exit code after any ``RilievoError``."""
STOPPED = 130
"""Exit code after Ctrl-C: 128 + SIGINT."""

# A new command is a module with ``main(arguments) -> exit code`` and a line here. The module stands
# in this folder, or in a subpackage, and then ``rilievo.extensions.subpackages`` names it.
COMMANDS: Mapping[str, str] = {
    "predict": "predict depth, normals and surfaces of photographs and videos",
    "measure": "measure distances, lengths, areas, things in boxes, with a range",
    "surface": "make the surface of a photograph whose depth map is there",
    "markers": "write a page to print that gives metres to photographs of it",
    "models": "list models with kind, size, licence and speed",
    "export": "write a model as a self-contained ONNX file",
    "datasets": "list datasets with source, licence and layout",
    "check": "check a downloaded dataset for missing and broken files",
    "verify": "check that results, runs and models are as they were written",
    "train": "train a probe or a depth network into a folder that is a model",
    "probe": "train and compare probes of depth and normals on many backbones",
    "evaluate": "score a model, or a folder of predictions, on a dataset",
    "benchmarks": "list benchmarks with metrics, published counterparts and masks",
    "compare": "compare runs of one benchmark, with significance",
    "trajectory": "estimate the path of the camera in a clip",
    "fuse": "make one coloured surface from the frames of a clip",
    "app": "serve a page in the browser: photograph in, depth and surface out",
    "page": "write a folder for any static host: depth in the visitor's browser",
    "serve": "answer over HTTP: photographs in, depth and measurements out",
    "mcp": "answer an assistant: sizes and depth in photographs as tools (MCP)",
    "view": "show a dataset, predictions or evaluations in FiftyOne",
    "report": "write a dataset, predictions or evaluations as HTML pages",
    "example": "write a program for Blender, COLMAP or ROS 2",
    "completion": "print a script that completes commands in bash, zsh or fish",
}
"""Summaries of the commands, in the order of the help."""

CORE_COMMANDS = (
    *("predict", "measure", "surface", "markers", "models", "verify", "example", "completion"),
)
"""Commands that have a module of their name in this folder."""


def run() -> int:
    """Run the command line of this process; return its exit code."""
    # Before other modules are loaded, which takes a while.
    signals.install_handlers()
    exit_code = STOPPED
    try:
        open_streams()
        exit_code = main()
    except KeyboardInterrupt as error:
        signals.handle_if_ctrl_c(error)
        complain("rilievo: stopped")
    finally:
        signals.exit_at_next_signal(exit_code)
    # The interpreter would run the garbage collector several times at exit: 40 ms of a cold start's
    # 350. Frozen objects are left to the system, which reclaims all memory at once. triton, which
    # comes with torch on CUDA, would report all of that as leaks, line by line.
    if "triton" not in sys.modules:
        gc.freeze()
    return exit_code


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line, and print an error that the user can mend as one line.

    Args:
        arguments: Words after ``rilievo``; by default those of this process.

    Returns:
        The exit code.
    """
    set_terminal_spelling(spell_flag)
    try:
        return _run_command(list(sys.argv[1:] if arguments is None else arguments))
    except (Exception, KeyboardInterrupt) as error:
        if signals.is_interruption(error):
            complain(f"rilievo: {for_terminal(signals.interruption_place(error))}")
            return STOPPED
        message = _system_limit_message(error)
        if not message and not isinstance(error, RilievoError):
            raise
        complain(f"rilievo: {message or for_terminal(error)}")
        return USAGE_ERROR
    finally:
        set_terminal_spelling(spell_keyword)


def _system_limit_message(error: BaseException) -> str:
    """Message for an error that comes from a limit of the system; "" for other errors."""
    text = str(error)
    if os.strerror(errno.EMFILE) in text:
        return "the system opens no more files for this process: raise its limit (ulimit -n 1024)"
    if "can't start new thread" in text:
        return "the system starts no more threads: raise the limit of processes (ulimit -u)"
    try:
        os.getcwd()
    except FileNotFoundError:
        return "the working folder was deleted: change to another one (cd)"
    return ""


def _run_command(arguments: Sequence[str]) -> int:
    """Run the command that the first word names; return its exit code."""
    name = arguments[0] if arguments else "--help"
    if name in ("-h", "--help"):
        _print_wrapped(_help_text())
        return 0 if arguments else USAGE_ERROR
    if name == "--version":
        _print_wrapped(f"rilievo {VERSION}")
        return 0
    if name == "help":
        return _run_command([*arguments[1:], "--help"])
    main = find_command(name)
    if main is None:
        raise _unknown_command_error(name)
    if name == "completion":  # it needs to know the other commands
        return main(arguments[1:], COMMANDS, _run_command)
    return main(arguments[1:])


def _unknown_command_error(name: str) -> RilievoError:
    if name.startswith("-"):
        return RilievoError(f"no option {name}; {suggest(name, ['--version', '--help'])}")
    # Imported on demand: most commands are known.
    from rilievo.errors.foreign_names import hint_for_command

    hint = hint_for_command(name) or suggest(name, COMMANDS)
    if "." in name:
        hint += f"; to predict, write: rilievo predict {name}"
    return RilievoError(f"no command '{name}'; {hint}")


def find_command(name: str) -> Main | None:
    """Import the function of a command; None if there is no such command."""
    with _without_garbage_collection():
        if name in CORE_COMMANDS:
            return import_module(f"rilievo.cli.{name}").main
        from rilievo.extensions.entry_points import load_named

        return load_named(subpackages.COMMANDS, name, what="command")


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Import modules in the block without garbage collection, whose scans take 10 ms each."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


_FIRST_COMMANDS: Mapping[str, str] = {
    "rilievo predict photo.jpg": "a depth picture in rilievo-output/",
    "rilievo predict photo.jpg --quality good": "finer, in metres: 141 MB once",
    "rilievo predict photos/ --save all -o out": "everything of a whole folder",
    "rilievo help COMMAND": "options of a command (or --all)",
    "rilievo --version": "",
}
"""Command lines for beginners, and what they do."""


def _help_text() -> str:
    from rilievo.system.terminal import bold, dim, help_width, wrap_line

    width = help_width()
    summary = "rilievo: one photograph in; depth, surface normals and a 3-D surface out."
    lines = [wrap_line(summary, width, 0), "", "usage: rilievo COMMAND [OPTIONS]", ""]
    for name, text in COMMANDS.items():
        line = wrap_line(f"  {name:<12}{text}", width)
        lines.append(line.replace(name, bold(name), 1))
    longest = max(map(len, _FIRST_COMMANDS))
    fits = all(longest + 4 + len(text) <= width for text in _FIRST_COMMANDS.values())
    lines.append("")
    for line, text in _FIRST_COMMANDS.items():
        if fits:
            lines.append(f"  {line:<{longest}}  {dim(text)}".rstrip())
            continue
        lines.append(f"  {line}")
        if text:
            lines.append(dim(f"      {text}"))
    return "\n".join(lines)


def _print_wrapped(text: str) -> None:
    with printing():
        say(text)
