"""The SDK's own client, which calls the tools of ``rilievo mcp`` in memory or over a transport."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rilievo.models.base import Model


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """Answer of a tool.

    Attributes:
        text: Text of the answer.
        told: Structured content; empty for a refusal.
        refused: Whether it is a refusal.
        pictures: Base64 of the pictures.
    """

    text: str
    told: dict[str, Any]
    refused: bool
    pictures: list[str]


Call = tuple[str, dict[str, Any]]
PATIENCE = 90.0
"""Seconds that a server may take to start; the SDK's 10 pass on a busy machine."""


def patient_client(server: Any) -> Any:
    """Make the SDK's client of a server, which waits for a server that starts slowly."""
    from mcp import Client
    from mcp.client import session

    session.DISCOVER_TIMEOUT_SECONDS = PATIENCE
    return Client(server)


def answers(server: Any, calls: Sequence[Call]) -> list[Answered]:
    """Answers of a server, of an address or of a transport, to calls in their order."""

    async def ask() -> list[Answered]:
        async with patient_client(server) as client:
            return await answered(client, calls)

    return asyncio.run(ask())


async def answered(client: Any, calls: Sequence[Call]) -> list[Answered]:
    """Answers that a client gets to calls in their order."""
    return [_answered(await client.call_tool(name, given)) for name, given in calls]


def _answered(result: Any) -> Answered:
    texts = [each.text for each in result.content if each.type == "text"]
    return Answered(
        text="\n".join(texts),
        told=result.structured_content or {},
        refused=bool(result.is_error),
        pictures=[each.data for each in result.content if each.type == "image"],
    )


class Desktop:
    """An assistant with tools for some folders, in memory."""

    def __init__(self, *folders: Path, model: Model, output: Path | None = None) -> None:
        from rilievo.serving.assistant.named_folders import NamedFolders
        from rilievo.serving.assistant.photographs import Photographs
        from rilievo.serving.assistant.protocol import Assistant

        result = Photographs(NamedFolders(folders, output), lambda: model)
        self.server = Assistant(result).make_server()

    def call(self, name: str, **given: Any) -> Answered:
        """Answer of one tool."""
        [answer] = answers(self.server, [(name, given)])
        return answer

    def refusal(self, name: str, **given: Any) -> str:
        """The line in which a tool refuses."""
        answer = self.call(name, **given)
        assert answer.refused, answer.text
        assert not answer.told
        assert answer.text == answer.text.strip()
        assert "\n" not in answer.text
        assert "Traceback" not in answer.text
        with suppress(ValueError):
            float(answer.text)
            raise AssertionError("a refusal has words")
        return answer.text
