"""The options of ``rilievo serve``: those of every server, and tokens."""

import os
from pathlib import Path
from typing import Annotated, ClassVar

from rilievo.errors import OptionError
from rilievo.frozen import frozen
from rilievo.io.files.limits import printable, read_text
from rilievo.messages import literal
from rilievo.schema import Groups, option
from rilievo.serving.listener.address_options import listed, listed_origins
from rilievo.serving.server.server_options import ServerOptions

TOKEN_VARIABLE = "RILIEVO_SERVE_TOKEN"
"""Environment variable with a token, for containers."""

_SHORTEST_TOKEN = 16


@frozen(slots=False)
class ServeOptions(ServerOptions):
    """Address, tokens, models and limits of the server."""

    GROUPS: ClassVar[Groups] = {
        **ServerOptions.GROUPS,
        "Access": ("token_file", *ServerOptions.GROUPS["Access"], "origins"),
    }

    token_file: Annotated[Path | None, option(metavar="FILE")] = None
    """File with one token in a line. Requests must send one of them as 'Authorization: Bearer
    TOKEN'. The environment variable RILIEVO_SERVE_TOKEN holds one token in place of a file."""

    origins: Annotated[str, option(commas=True, metavar="ORIGIN,...|*")] = ""
    """Origins of other hosts whose web pages may call the server, such as https://blog.example.com;
    by default none. '*' lets every page in. Cookies are never used: a page sends a token itself."""

    def __post_init__(self) -> None:
        super().__post_init__()
        _ = self.calling_origins

    @property
    def calling_origins(self) -> tuple[str, ...]:
        """Origins of other hosts whose pages may call the server, or ``*`` for all."""
        is_for_all = listed(self.origins) == ["*"]
        return ("*",) if is_for_all else listed_origins("origins", self.origins)

    def tokens(self) -> tuple[str, ...]:
        """Tokens of the file and of the environment; none lets everybody in."""
        tokens = [os.environ[TOKEN_VARIABLE]] if os.environ.get(TOKEN_VARIABLE) else []
        if self.token_file is not None:
            lines = [line.strip() for line in read_text(self.token_file).splitlines()]
            lines = [line for line in lines if line]
            if not lines:
                raise OptionError(
                    option="token_file",
                    problem=f"{literal(printable(self.token_file))}: holds no token",
                )
            tokens += lines
        for token in tokens:
            if len(token) < _SHORTEST_TOKEN or not token.isascii() or " " in token:
                raise OptionError(
                    f"a token has {_SHORTEST_TOKEN} or more ASCII characters and no space, got "
                    f"one of {len(token)}: make one with 'openssl rand -hex 32'"
                )
        return tuple(tokens)
