"""Trust in code that files name: it runs only if the user has named it, too.

A configuration, a suite or a sweep can name code as ``package.module:NAME`` or
``path/to/file.py:NAME``. Such a file may come from somebody else, and would run that code.
"""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from rilievo.errors import OptionError, UntrustedCodeError
from rilievo.errors.messages import OptionName, Text

TRUST = "RILIEVO_TRUST_CODE"
"""Environment variable with the import paths of trusted code, one a line; children inherit it."""
_IMPORT_PATH = r"[A-Za-z_][\w.]*:[A-Za-z_]\w*|.+\.py:[A-Za-z_]\w*"


class CodePlace(str):
    """Import path of an object: ``package.module:NAME`` or ``path/to/file.py:NAME``."""

    __slots__ = ()


def is_import_path(name: str) -> bool:
    """Whether a name is ``package.module:NAME`` or ``path/to/file.py:NAME``."""
    return ":" in name and re.fullmatch(_IMPORT_PATH, name) is not None


def trusted_places() -> tuple[str, ...]:
    """Import paths of the code that files may name."""
    return tuple(filter(None, os.environ.get(TRUST, "").splitlines()))


def trust(import_paths: Iterable[str]) -> None:
    """Let files name code, in this process and its children.

    Raises:
        OptionError: If an item is no import path.
    """
    try:
        new_paths = [*import_paths]
    except TypeError:
        expected = "a list of texts MODULE:NAME"
        raise OptionError(option="trust_code", value=import_paths, expected=expected) from None
    trusted = [*trusted_places()]
    for path in new_paths:
        if not isinstance(path, str) or not is_import_path(path):
            raise OptionError(
                problem=Text(
                    OptionName("trust_code"),
                    " is package.module:NAME or path/to/file.py:NAME as a file "
                    f"states it, got '{path}'",
                )
            )
        if path not in trusted:
            trusted.append(path)
    if trusted:
        os.environ[TRUST] = "\n".join(trusted)


def check_trusted(name: str, what: str, file: str | Path) -> None:
    """Refuse code that a file names, unless the user has named it, too.

    A name that is no import path names no code. ``what`` is such as "metric".

    Raises:
        UntrustedCodeError: If the user has not named it.
    """
    if not is_import_path(name) or name in trusted_places():
        return
    import shlex  # Imported on demand, because most files name no code.

    raise UntrustedCodeError(
        f"names code for its {what}, '{name}', and would run {_code_origin(name)}",
        path=file,
        hint=Text(
            "if you trust that code, name it as the file does: ",
            OptionName("trust_code", shlex.quote(name)),
        ),
    )


def _code_origin(import_path: str) -> str:
    """File that an import path would run, or its module if the file is unknown."""
    module = import_path.rpartition(":")[0]
    if module.endswith(".py"):
        return os.path.abspath(os.path.expanduser(module))
    package = module.partition(".")[0]
    with suppress(ValueError):  # Some modules, such as __main__, have no specification.
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            return spec.origin
    return f"the module '{module}'"
