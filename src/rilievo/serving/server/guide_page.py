"""The page ``/docs``, with examples and all addresses of the server."""

from collections.abc import Iterable
from html import escape

from rilievo.serving.server.endpoint import Endpoint

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>rilievo</title>
<h1>rilievo</h1>
<p>Send a photograph to get its depth, normals, surface and measurements. Nothing is stored.</p>
<pre>
{examples}
</pre>
<dl>
{addresses}
</dl>
<p>All parameters: <a href="{root}openapi.json">openapi.json</a>.
Models: <a href="{root}v1/models">v1/models</a>.</p>
</html>
"""


def guide_page(root: str, endpoints: Iterable[Endpoint], *, needs_token: bool) -> str:
    """HTML page about the endpoints of the server at the URL ``root``, with example commands."""
    curl = "curl -H 'Authorization: Bearer TOKEN'" if needs_token else "curl"
    commands: list[str] = []
    addresses: list[str] = []
    for endpoint in endpoints:
        for query, output_file in endpoint.examples:
            command = f"{curl} --data-binary @photo.jpg '{root}{endpoint.path[1:]}?{query}'"
            commands.append(f"{command} -o {output_file}" if output_file else command)
        addresses.append(
            f"<dt><code>{escape(endpoint.address)}</code></dt><dd>{escape(endpoint.summary)}</dd>"
        )
    return _PAGE.format(
        root=escape(root), examples=escape("\n".join(commands)), addresses="\n".join(addresses)
    )
