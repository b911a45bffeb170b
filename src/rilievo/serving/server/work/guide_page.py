"""Page for those who open the server's address in a browser: how to call it."""

from html import escape

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>rilievo</title>
<h1>rilievo</h1>
<p>Depth, normals, surfaces and measurements of a photograph that is sent. Nothing is kept.</p>
<pre>
{lines}
</pre>
<p>Every address and parameter: <a href="{root}openapi.json">openapi.json</a>.
Models: <a href="{root}v1/models">v1/models</a>.</p>
</html>
"""
_PHOTO = "--data-binary @photo.jpg"


def guide_page(root: str, *, needs_token: bool) -> str:
    """Make the page.

    Args:
        root: Address of the server as the client writes it, with a slash at its end.
        needs_token: Whether requests need a token.
    """
    curl = "curl -H 'Authorization: Bearer TOKEN'" if needs_token else "curl"
    lines = (
        f"{curl} {_PHOTO} '{root}v1/predict?at=320,240'",
        f"{curl} {_PHOTO} '{root}v1/predict?save=colour' -o depth.png",
        f"{curl} {_PHOTO} '{root}v1/predict?save=glb' -o surface.glb",
        f"{curl} {_PHOTO} '{root}v1/measure?known=320,240,2.35&at=100,200&at=300,210'",
    )
    return _PAGE.format(root=escape(root), lines=escape("\n".join(lines)))
