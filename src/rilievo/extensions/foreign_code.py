"""Packages whose code rilievo has loaded for the user, and faults in it."""

from pathlib import Path

from rilievo.errors.messages import one_line

FOREIGN_PACKAGES: set[str] = set()
"""Names of the packages."""


def extension_fault(error: BaseException) -> str | None:
    """Description of an exception of other packages; None for ours."""
    from traceback import walk_tb

    for frame, line in reversed([*walk_tb(error.__traceback__)]):
        top = str(frame.f_globals.get("__name__")).partition(".")[0]
        if top in FOREIGN_PACKAGES and top != "rilievo":
            place = f"{Path(frame.f_code.co_filename).name}, line {line}"
            return f"{type(error).__name__}: {one_line(str(error))} ({place})"
    return None
