"""Trust in code that files name: none runs unless the user has named it too."""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from rilievo.errors import OptionError, UntrustedCodeError
from rilievo.errors.messages import OptionName, Text

TRUST = "RILIEVO_TRUST_CODE"
"""Environment variable of trusted code, one place a line."""
_PLACE = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*|.+\.py:[A-Za-z_]\w*"


class CodePlace(str):
    """Place of somebody's object: ``package.module:NAME`` or ``path/to/file.py:NAME``."""

    __slots__ = ()


def is_import_path(name: str) -> bool:
    """Whether a name is ``package.module:NAME`` or ``path/to/file.py:NAME``."""
    return ":" in name and re.fullmatch(_PLACE, name) is not None


def trusted_places() -> tuple[str, ...]:
    """Names of code that files may name."""
    return tuple(filter(None, os.environ.get(TRUST, "").splitlines()))


def trust(places: Iterable[str]) -> None:
    """Let files name code, for this process and its children."""
    try:
        listed = [*places]
    except TypeError:
        expected = "a list of texts MODULE:NAME"
        raise OptionError(option="trust_code", value=places, expected=expected) from None
    names = trusted_places()
    for place in listed:
        if not isinstance(place, str) or not is_import_path(place):
            raise OptionError(
                problem=Text(
                    OptionName("trust_code"),
                    " is package.module:NAME or path/to/file.py:NAME as a file "
                    f"states it, got '{place}'",
                )
            )
        if place not in names:
            names = (*names, place)
    if names:
        os.environ[TRUST] = "\n".join(names)


def check_trusted(name: str, what: str, file: str | Path) -> None:
    """Refuse code that a file names, unless the user has named it too.

    Raises:
        UntrustedCodeError: If the user has not named it.
    """
    if is_import_path(name) and name not in trusted_places():
        import shlex

        raise UntrustedCodeError(
            f"names code for its {what}, '{name}', and would run {_code_origin(name)}",
            path=file,
            hint=Text(
                "if you trust that code, name it as the file does: ",
                OptionName("trust_code", shlex.quote(name)),
            ),
        )


def _code_origin(place: str) -> str:
    module = place.rpartition(":")[0]
    if module.endswith(".py"):
        return os.path.abspath(os.path.expanduser(module))
    top = module.partition(".")[0]
    with suppress(ValueError):  # of modules without a specification, such as __main__
        spec = find_spec(top)
        if spec is not None and spec.origin is not None:
            return spec.origin
    return f"the module '{module}'"
