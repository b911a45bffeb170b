"""Work-around for a race in Python 3.11 when several threads read numpy files."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Read = TypeVar("Read")

_TRIES = 20


def retry_miscounted(read: Callable[Given, Read]) -> Callable[Given, Read]:
    """Retry a read that failed because Python miscounted the parser's depth.

    numpy parses the header of an array with ``ast``. Python 3.11 counts the depth of syntax trees
    in one counter for all threads (CPython issue 106905), so a thread that parses beside another
    one sometimes raises ``SystemError`` though its file is whole.
    """

    @wraps(read)
    def patient(*args: Given.args, **options: Given.kwargs) -> Read:
        for _ in range(_TRIES - 1):
            try:
                return read(*args, **options)
            except SystemError as error:
                if "recursion depth" not in str(error):
                    raise
        return read(*args, **options)

    return patient
