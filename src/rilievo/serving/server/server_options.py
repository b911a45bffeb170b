"""The options that ``rilievo serve`` and ``rilievo app`` share: address, models, limits."""

from dataclasses import field
from typing import Annotated, ClassVar

from rilievo.frozen import frozen
from rilievo.models import DEFAULT_MODEL
from rilievo.models.model_options import EngineOptions
from rilievo.schema import Groups, option
from rilievo.serving.listener.address_options import AddressOptions, listed
from rilievo.serving.server.limits import ServerLimits


@frozen(slots=False)
class ServerOptions(AddressOptions, EngineOptions):
    """Address, models and limits of the server."""

    GROUPS: ClassVar[Groups] = {
        "Address": ("host", "port", "root_path", "proxies"),
        "Access": ("hosts",),
        "Model": ("model", "offer", "device", "engine", "precision", "threads", "trust_code"),
        "Limits": ("max_megabytes", "max_megapixels", "time_limit"),
    }

    model: Annotated[str, option(aliases=("-m",), metavar="NAME")] = DEFAULT_MODEL
    """Model that answers unless a request names another: a name that 'rilievo models' lists, an
    ONNX file, or a run of 'rilievo train'."""
    offer: Annotated[str | None, option(commas=True, metavar="NAME,...")] = None
    """Other models that requests may name; weights are fetched at their first use."""
    max_megabytes: Annotated[float | int, option(above=0)] = 50.0
    """Largest request body."""
    max_megapixels: Annotated[float | int, option(above=0)] = 24.0
    """Largest photograph."""
    time_limit: Annotated[float | int, option(above=0, unit="seconds")] = 60.0
    """Seconds after which a request is given up, its wait in the queue included."""

    limits: Annotated[ServerLimits, option(hidden=True)] = field(default_factory=ServerLimits)
    """Limits that no flag sets."""

    def tokens(self) -> tuple[str, ...]:
        """Tokens of which requests must send one; none, as a page cannot send one."""
        return ()

    @property
    def calling_origins(self) -> tuple[str, ...]:
        """Origins of other hosts whose pages may call the server; none, as a page has its own."""
        return ()

    @property
    def offered(self) -> tuple[str, ...]:
        """Names of models that requests may name, the default one first."""
        return tuple(dict.fromkeys((self.model, *listed(self.offer or ""))))

    @property
    def max_bytes(self) -> int:
        """Largest request body [bytes]."""
        return int(self.max_megabytes * 1e6)

    @property
    def max_pixels(self) -> int:
        """Largest photograph [px]."""
        return int(self.max_megapixels * 1e6)
