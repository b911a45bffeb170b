"""The option ``--drop``, which names parts that surfaces leave out."""

from rilievo.errors import OptionError, suggest

DROPS = ("sky", "background")
BACKGROUND_SHARE = 0.5
"""Default share at which the background begins."""


def parse_drop(text: str) -> tuple[str, ...]:
    """Parse ``--drop``: ``sky``, ``background`` or ``background=SHARE``, separated by commas."""
    parts = tuple(part.strip() for part in text.split(",") if part.strip())
    for part in parts:
        name, number, _ = part.partition("=")
        if name not in DROPS:
            raise OptionError(f"--drop has no '{name}'; {suggest(name, DROPS)}")
        if number and name == "sky":
            raise OptionError(f"--drop sky takes no number, got '{part}'")
        if not 0 < background_share(part) < 1:
            raise OptionError(f"--drop background takes a share between 0 and 1, got '{part}'")
    if not parts:
        raise OptionError(f"--drop names nothing; known: {', '.join(DROPS)}")
    return parts


def background_share(part: str) -> float:
    """Share after ``background=``; NaN where it is not a number."""
    _, equals, number = part.partition("=")
    if not equals:
        return BACKGROUND_SHARE
    try:
        return float(number)
    except ValueError:
        return float("nan")
