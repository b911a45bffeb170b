"""Options that are on or off in words."""

from enum import StrEnum
from typing import Literal


class Switch(StrEnum):
    """An option that is on or off in words; in Python it may be given as a bool."""

    ON = "on"
    OFF = "off"

    def __bool__(self) -> bool:
        return self is Switch.ON


SwitchLike = Switch | bool | Literal["on", "off"]
