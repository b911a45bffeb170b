"""Reading and writing of photographs, videos, depth and surfaces."""

from typing import NoReturn

from rilievo.other_libraries import refuse_module_attribute


def __getattr__(name: str) -> NoReturn:
    refuse_module_attribute(__name__, name)
