"""Options of ``rilievo app``: names, defaults, help and checks."""

import ipaddress
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

import tyro

from rilievo.errors import OptionError
from rilievo.models import DEFAULT_MODEL


@dataclass(frozen=True, kw_only=True)
class AppOptions:
    """Address of the page, and limits for its visitors.

    Raises:
        OptionError: If an option is out of range.
    """

    host: str = "127.0.0.1"
    """Address to listen at; 0.0.0.0 admits other machines."""
    port: int = 7860
    """Port of the page; 0 takes a free one."""
    root_path: Annotated[str, tyro.conf.arg(metavar="/PATH")] = ""
    """Path under which a proxy serves the page, such as /depth."""
    open: bool = False
    """Open the page in this machine's browser."""
    model: Annotated[str, tyro.conf.arg(aliases=("-m",), metavar="NAME")] = DEFAULT_MODEL
    """Model that is selected when the page opens: a name that 'rilievo models' lists, an ONNX file,
    or a run of 'rilievo train'.
    """
    offer: Annotated[str | None, tyro.conf.arg(metavar="NAME,...|all")] = None
    """Other models that visitors may choose, separated by commas; weights are downloaded at first
    use. 'all' is every model whose extra is installed, which is the default if only this machine
    can reach the page; otherwise the default is none. Paid models are never offered.
    """
    device: str = "auto"
    """Device to run on: auto, cpu, cuda, cuda:N, coreml or directml."""
    max_megabytes: float = 50.0
    """Largest upload [MB]."""
    max_megapixels: float = 24.0
    """Largest photograph [megapixels]; frames of a video may have a third of it."""
    max_seconds: float = 60.0
    """Longest video [s]."""
    max_frames: int = 1800
    """Most frames of a video."""
    time_limit: float = 60.0
    """Time-out of a photograph's prediction [s]."""
    video_limit: float = 900.0
    """Time after which work on a video stops [s]."""
    queue: int = 20
    """Requests of one kind that may wait; more are refused."""
    workers: int = 2
    """Photographs that are read and drawn in parallel; the network runs on one at a time."""
    keep_minutes: float = 60.0
    """Minutes without use after which uploads and results are deleted."""
    keep_megabytes: float = 2000.0
    """Most disk space for uploads and results together [MB]; the oldest are deleted first."""

    def __post_init__(self) -> None:
        for name, rule, words in _RULES:
            value = getattr(self, name)
            if not rule(value):
                raise OptionError(f"--{name.replace('_', '-')} is {words}, got {value}")
        if self.root_path and (not self.root_path.startswith("/") or "//" in self.root_path):
            raise OptionError(f"--root-path begins with one '/', got '{self.root_path}'")

    @property
    def is_private(self) -> bool:
        """Whether only this machine can reach the page."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    @property
    def offered(self) -> tuple[str, ...] | None:
        """Names of ``--offer``, without the initial model; None stands for all."""
        asked = ("all" if self.is_private else "") if self.offer is None else self.offer
        names = [name.strip() for name in asked.split(",") if name.strip()]
        return None if "all" in names else tuple(names)

    @property
    def max_bytes(self) -> int:
        """Size of the largest upload [bytes]."""
        return int(self.max_megabytes * 1e6)

    @property
    def max_pixels(self) -> int:
        """Size of the largest photograph [px]."""
        return int(self.max_megapixels * 1e6)


def _is_positive(value: float) -> bool:
    return 0 < value < math.inf


_RULES: tuple[tuple[str, Callable[[float], bool], str], ...] = (
    ("port", lambda value: 0 <= value <= 65535, "between 0 and 65535"),
    ("max_megabytes", _is_positive, "a positive number"),
    ("max_megapixels", _is_positive, "a positive number"),
    ("max_seconds", _is_positive, "a positive number"),
    ("max_frames", lambda value: value >= 1, "1 or more"),
    ("time_limit", _is_positive, "a positive number of seconds"),
    ("video_limit", _is_positive, "a positive number of seconds"),
    ("queue", lambda value: value >= 1, "1 or more"),
    ("workers", lambda value: value >= 1, "1 or more"),
    ("keep_minutes", _is_positive, "a positive number"),
    ("keep_megabytes", _is_positive, "a positive number"),
)
