"""Marks of the fields of options: how a door other than the command line treats one."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mark:
    """A mark of a field, as an annotation: how a door other than the command line treats it."""

    says: str


@dataclass(frozen=True, slots=True)
class InRequests:
    """Description of the parameter of requests, where that of the option does not fit it."""

    words: str


UNRECORDED = Mark("not recorded by itself: results do not depend on it, or state it otherwise")
ALWAYS_RECORDED = Mark("recorded also where it has its default")
LOCAL = Mark("not for requests to a server: names a file, or costs more than a request may")
LIVE = Mark("applies to 'rilievo predict --live' too")
