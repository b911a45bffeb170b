"""Packages of others whose code rilievo has loaded for the user, and errors in that code."""

from pathlib import Path

from rilievo.errors.messages import one_line

FOREIGN_PACKAGES: set[str] = set()
"""Names of the top-level packages whose code this process has loaded for the user."""


def extension_fault(error: BaseException) -> str | None:
    """Describe an exception that code of a foreign package raised or passed on.

    The description names the innermost line of that code. Return None if only code of rilievo and
    its dependencies was involved.
    """
    from traceback import walk_tb

    frames_from_innermost = reversed([*walk_tb(error.__traceback__)])
    for frame, line in frames_from_innermost:
        module = str(frame.f_globals.get("__name__"))
        package = module.partition(".")[0]
        if package in FOREIGN_PACKAGES and package != "rilievo":
            file = Path(frame.f_code.co_filename).name
            return f"{type(error).__name__}: {one_line(str(error))} ({file}, line {line})"
    return None
