"""The options of ``rilievo serve``: names, defaults, help and checks."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import tyro

from rilievo.models import DEFAULT_MODEL
from rilievo.models.model_options import EngineOptions
from rilievo.options.option_record import Rule, check_rules
from rilievo.serving.address.address_options import (
    AddressOptions,
    is_count,
    is_positive,
    listed,
)


@dataclass(frozen=True, kw_only=True)
class ServeOptions(AddressOptions, EngineOptions):
    """Address, models and limits of the server."""

    GROUPS: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "Address": ("host", "port", "root_path", "proxies"),
        "Access": ("token_file", "hosts", "urls"),
        "Model": ("model", "offer", "device", "engine", "precision", "threads", "trust_code"),
        "Speed": ("batch", "window", "workers"),
        "Limits": (
            "max_megabytes",
            "max_megapixels",
            "connections",
            "queue",
            "uploads",
            "upload_seconds",
            "time_limit",
            "download_seconds",
            "streams",
            "disk_megabytes",
        ),
    }

    urls: Literal["off", "public"] = "off"
    """Whether a request may name the address of an image in place of sending it; public:
    addresses on the internet, never of the server's own network."""
    model: Annotated[str, tyro.conf.arg(aliases=("-m",), metavar="NAME")] = DEFAULT_MODEL
    """Model that answers unless a request names another: a name that 'rilievo models' lists, an
    ONNX file, or a run of 'rilievo train'."""
    offer: Annotated[str | None, tyro.conf.arg(metavar="NAME,...")] = None
    """Other models that requests may name; weights are fetched at their first use."""
    batch: int = 8
    """Most photographs of one size that go through the network together."""
    window: float | int = 5.0
    """Milliseconds that the network waits for others of a batch while they are being decoded."""
    workers: Annotated[int | None, tyro.conf.arg(metavar="N")] = None
    """Threads that decode photographs, and as many that write results; by default one per core."""
    max_megabytes: float | int = 50.0
    """Largest request body."""
    max_megapixels: float | int = 24.0
    """Largest photograph."""
    queue: int = 64
    """Requests that may wait; more are refused with status 429."""
    uploads: int = 256
    """Requests whose bodies may arrive at the same time; one client has at most a quarter."""
    upload_seconds: float | int = 30.0
    """Time in which a request must arrive completely."""
    time_limit: float | int = 60.0
    """Seconds after which a request is given up, its wait in the queue included."""
    download_seconds: float | int = 600.0
    """Time in which a client must have taken an answer."""
    streams: int = 8
    """WebSocket streams that may be open at the same time; one client has at most half."""
    disk_megabytes: float | int = 5000.0
    """Most that requests and results take on disk together; one client has at most half."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_rules(self, _RULES)

    @property
    def offered(self) -> tuple[str, ...]:
        """Names of models that requests may name, the default one first."""
        return tuple(dict.fromkeys((self.model, *listed(self.offer or ""))))

    @property
    def threads_at_work(self) -> int:
        """Threads that decode and write."""
        return self.workers or os.cpu_count() or 1

    @property
    def max_bytes(self) -> int:
        """Largest request body [bytes]."""
        return int(self.max_megabytes * 1e6)

    @property
    def max_pixels(self) -> int:
        """Largest photograph [px]."""
        return int(self.max_megapixels * 1e6)


_RULES: tuple[Rule, ...] = (
    ("batch", lambda value: 1 <= value <= 64, "between 1 and 64"),
    ("window", lambda value: 0 <= value <= 1000, "between 0 and 1000 milliseconds"),
    ("workers", is_count, "1 or more"),
    ("max_megabytes", is_positive, "a positive number"),
    ("max_megapixels", is_positive, "a positive number"),
    ("queue", is_count, "1 or more"),
    ("uploads", lambda value: value >= 4, "4 or more"),
    ("upload_seconds", is_positive, "a positive number of seconds"),
    ("time_limit", is_positive, "a positive number of seconds"),
    ("download_seconds", is_positive, "a positive number of seconds"),
    ("streams", lambda value: value >= 0, "0 or more"),
    ("disk_megabytes", is_positive, "a positive number"),
)
