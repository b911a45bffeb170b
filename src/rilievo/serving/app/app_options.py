"""Options of ``rilievo app``."""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import Annotated, ClassVar

from rilievo.frozen import frozen
from rilievo.models import MODELS, replicate_cards
from rilievo.models.card import ModelCard
from rilievo.schema import Groups, option
from rilievo.serving.listener.listening import listed_origins
from rilievo.serving.server.server_options import ServerOptions

_PACKAGES = {"models": ("torch", "transformers", "diffusers")}


@frozen(slots=False)
class AppOptions(ServerOptions):
    """Address of the page, and limits for its visitors."""

    GROUPS: ClassVar[Groups] = {
        **ServerOptions.GROUPS,
        "Address": (*ServerOptions.GROUPS["Address"], "open", "embed_origins"),
        "Limits": (*ServerOptions.GROUPS["Limits"], "keep_minutes"),
    }

    port: Annotated[int, option(least=0, most=65535)] = 7860
    """Port of the page; 0 takes a free one."""
    open: bool = False
    """Open the page in this machine's browser."""
    embed_origins: Annotated[str | None, option(commas=True, metavar="ORIGIN,...")] = None
    """Origins whose pages may embed results, in a view without uploads, such as
    https://blog.example.com, separated by commas; by default none."""
    offer: Annotated[str | None, option(commas=True, metavar="NAME,...|all")] = None
    """Other models that visitors may choose, separated by commas; weights are downloaded at first
    use. 'all' is every model whose extra is installed, which is the default if only this machine
    can reach the page; otherwise the default is none. Paid models are never offered."""
    keep_minutes: Annotated[float | int, option(above=0)] = 60.0
    """Minutes without use after which results are deleted."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.embedding

    @property
    def embedding(self) -> tuple[str, ...]:
        """Origins whose pages may embed results."""
        return listed_origins("embed_origins", self.embed_origins or "")

    @property
    def offered(self) -> tuple[str, ...]:
        """Models that visitors may choose."""
        text = ("all" if self.is_private else "") if self.offer is None else self.offer
        names = [name.strip() for name in text.split(",") if name.strip()]
        if "all" in names:
            names = list(_names_of_free_loadable_models())
        return tuple(dict.fromkeys((self.model, *names)))


def _names_of_free_loadable_models() -> Iterator[str]:
    paid = {card.name for card in replicate_cards.listed_cards()}
    for card in MODELS.values():
        if card.kind is not None and card.name not in paid and _has_packages_installed(card):
            yield card.name


def _has_packages_installed(card: ModelCard) -> bool:
    packages = _PACKAGES.get(card.extra or "", ())
    return all(find_spec(package) is not None for package in packages)
