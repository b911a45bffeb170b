"""Check of an argument's type, for public functions whose own error would be obscure."""

from rilievo.errors import OptionError


def check_type(name: str, value: object, kind: type, expected: str) -> None:
    """Refuse an argument of a wrong type.

    Args:
        name: Name of the argument.
        value: Argument that the user gave.
        kind: Class of which it must be an instance.
        expected: The class in words, such as "a PredictOptions".

    Raises:
        OptionError: If the argument is of another class.
    """
    if not isinstance(value, kind):
        raise OptionError(option=name, value=type(value), expected=expected)
