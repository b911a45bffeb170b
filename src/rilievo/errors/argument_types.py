"""Check the type of an argument of public functions, where Python's own error would be obscure."""

from rilievo.errors import OptionError


def check_type(name: str, value: object, kind: type, expected: str) -> None:
    """Raise OptionError for an argument of a wrong type; ``expected`` names the right one."""
    if not isinstance(value, kind):
        raise OptionError(option=name, value=type(value), expected=expected)
