"""The command ``python -m lab.making``: a recipe, or ``teacher``, ``distil`` and ``calibrate``."""

import signal
import sys
from collections.abc import Sequence

from lab.making import calibrate, normals_command, outline_command
from lab.making.distil import distil_command, teacher_command
from lab.making.distil.frames.shards import check_shards
from lab.making.recipe_options import LASTING, RecipeOptions
from lab.making.recipes import find_recipe
from rilievo.cli import EXIT_CODE_OF_CTRL_C
from rilievo.cli.parsing import message_with_flags, parse
from rilievo.cli.streams import print_to_stderr, printing
from rilievo.errors import RilievoError, explain_missing_extra
from rilievo.errors.messages import for_terminal
from rilievo.system.signals import interruption_place
from rilievo.training.engine.progress import is_first_process

COMMANDS = {
    "teacher": teacher_command.main,
    "distil": distil_command.main,
    "normals": normals_command.main,
    "outlines": outline_command.main,
    "calibrate": calibrate.main,
}
"""Commands beside the recipes: a model's answers as shards, a small network on them, a decoder
of normals, a head that makes outlines narrow, and all that follows a new network."""


def run() -> int:
    """Run the command with the arguments of this process; 2 for wrong use or input.

    SIGTERM stops a run as Ctrl-C does, after a checkpoint, also where Ctrl-C is ignored, as under
    nohup.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return main(sys.argv[1:])
    except RilievoError as error:
        print_to_stderr(f"making: {message_with_flags(error)}")
        return 2
    except KeyboardInterrupt as error:
        print_to_stderr(f"making: {for_terminal(interruption_place(error))}")
        return EXIT_CODE_OF_CTRL_C


def main(arguments: Sequence[str]) -> int:
    """Train by a recipe, or do what the first word names; returns 0 when it finished."""
    if arguments and arguments[0] in COMMANDS:
        return COMMANDS[arguments[0]](arguments[1:])
    given = parse(
        RecipeOptions,
        arguments,
        prog="python -m lab.making",
        description="Train an embedded model by a recipe. Beside the recipes, 'teacher' writes a "
        "model's answers for photographs, 'distil' trains a small network on them, and 'calibrate' "
        "does all that follows a new network.",
        examples=(
            "python -m lab.making small-rendered --shards shards/ --encoder encoder.npz -o run",
            "python -m lab.making base --shards shards/ --real nyu/ --device cuda -o run --resume",
        ),
    )
    # Before torch is imported, which takes seconds: most slips are in names and paths.
    if given.recipe not in LASTING:
        find_recipe(given.recipe)
    for folder in (given.shards, given.lessons):
        if folder is not None:
            check_shards(folder)
    if given.recipe in LASTING:
        with explain_missing_extra("training a model", "train"):
            from lab.making.lasting_run import train_lasting
        train_lasting(given)
        return 0
    with explain_missing_extra("training a model", "train"):
        from lab.making.recipe_run import train_recipe

    train_recipe(given)
    if is_first_process():
        with printing():
            print(f"next: rilievo predict PHOTO --model {given.output / 'small.onnx'}")
    return 0
