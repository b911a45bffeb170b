"""Reading numpy's files in several threads under Python 3.11."""

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

Given = ParamSpec("Given")
Read = TypeVar("Read")

_TRIES = 20


def retry_miscounted(read: Callable[Given, Read]) -> Callable[Given, Read]:
    """Read again where Python miscounted.

    numpy parses the header of an array with ``ast``. Python 3.11 counts the depth of syntax trees
    in one place for all threads (CPython issue 106905), so that now and then one of two threads
    that parse at once ends with a ``SystemError``, though its file is whole.
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
