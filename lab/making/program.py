"""Start of a program of this folder that has a main function of its arguments."""

import sys
from collections.abc import Callable, Sequence

from rilievo.errors import RilievoError


def run_program(main: Callable[[Sequence[str]], None]) -> None:
    """Run a program with the arguments of this process; wrong use or input is one line and 2."""
    try:
        main(sys.argv[1:])
    except RilievoError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
