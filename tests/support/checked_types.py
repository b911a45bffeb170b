"""The checker of types that `make test-all` applies to every call of the package."""

from collections.abc import Callable

from beartype import BeartypeConf, beartype

# As type checkers have it (PEP 484), a whole number is a float too.
_checked = beartype(conf=BeartypeConf(is_pep484_tower=True))


def checked(function: Callable) -> Callable:
    """Check a function's types at every call.

    Records of options are left out: their annotations say what a command line gives, Python and
    requests may give more, and the records refuse the rest in words.
    """
    module = function.__module__
    of_options = module.startswith("rilievo.options.") or module.endswith("_options")
    return function if of_options and function.__name__ == "__init__" else _checked(function)
