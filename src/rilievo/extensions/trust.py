"""Code that files name runs only if the user trusts it, by naming it too.

A configuration, a suite or a sweep can name code as ``package.module:NAME`` or
``path/to/file.py:NAME``. Such a file may come from somebody else, and would run that code.
"""

import os
import re
import shlex
from collections.abc import Iterable
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path

from rilievo.errors import OptionError, UntrustedCodeError
from rilievo.errors.messages import OptionName, Text

TRUST = "RILIEVO_TRUST_CODE"
"""Environment variable with the import paths of trusted code, one per line.

Child processes inherit it.
"""
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
        expected = "a list of strings, each of the form MODULE:NAME"
        raise OptionError(option="trust_code", value=import_paths, expected=expected) from None
    for path in new_paths:
        if not isinstance(path, str) or not is_import_path(path):
            raise OptionError(
                problem=Text(
                    OptionName("trust_code"),
                    " must be package.module:NAME or path/to/file.py:NAME, exactly as a file "
                    f"states it, got '{path}'",
                )
            )
    all_paths = dict.fromkeys((*trusted_places(), *new_paths))
    if all_paths:
        os.environ[TRUST] = "\n".join(all_paths)


def check_trusted(name: str, kind: str, file: str | Path) -> None:
    """Refuse code that a file names, unless the user has named it too.

    ``name`` may be an import path or any other name, which runs no code. ``kind`` says what the
    file names, such as "metric".

    Raises:
        UntrustedCodeError: If the name is an import path that the user has not named.
    """
    if not is_import_path(name) or name in trusted_places():
        return
    raise UntrustedCodeError(
        f"refers to code for its {kind}, '{name}', and would run {_code_origin(name)}",
        path=file,
        hint=Text(
            "if you trust that code, allow it with ",
            OptionName("trust_code", shlex.quote(name)),
        ),
    )


def _code_origin(import_path: str) -> str:
    """File whose code an import path would run, or its module if the file is unknown."""
    module = import_path.rpartition(":")[0]
    if module.endswith(".py"):
        return os.path.abspath(os.path.expanduser(module))
    package = module.partition(".")[0]
    with suppress(ValueError):  # Some modules, such as __main__, have no specification.
        spec = find_spec(package)
        if spec is not None and spec.origin is not None:
            return spec.origin
    return f"the module '{module}'"
