"""The client of the campaign's job of ``rilievo mcp``."""

import io
import json

from lab.torture.assistant import ask, calls


def lines(*answers: dict[str, object]) -> io.BytesIO:
    return io.BytesIO(b"".join(json.dumps(answer).encode() + b"\n" for answer in answers))


def test_every_call_is_made_and_refusals_are_said() -> None:
    requests = io.BytesIO()
    count = len([*calls()])
    good = {"result": {"content": [{"type": "text", "text": "done"}]}}
    refused = {"result": {"isError": True, "content": [{"type": "text", "text": "the disk"}]}}
    answers = lines({"result": {}}, *[good] * (count - 2), refused, {"error": {"message": "no"}})
    assert ask(requests, answers) == ["the disk", "no"]
    sent = [json.loads(line) for line in requests.getvalue().splitlines()]
    assert [message["method"] for message in sent][:2] == [
        "initialize",
        "notifications/initialized",
    ]
    assert sum(message["method"] == "tools/call" for message in sent) == count


def test_a_server_that_leaves_is_said() -> None:
    assert ask(io.BytesIO(), lines({"result": {}})) == ["the server has left"]
