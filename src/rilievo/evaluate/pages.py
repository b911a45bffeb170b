"""Pages of HTML that hold all that they need: style, script, charts and pictures."""

import base64
import hashlib
from pathlib import Path
from typing import Any

from rilievo.errors import MissingExtraError
from rilievo.evaluate import wording
from rilievo.io.atomic import replacing
from rilievo.io.limits import printable
from rilievo.version import VERSION

_FOLDER = Path(__file__).with_name("templates")


def write_page(path: Path, template: str, **content: Any) -> None:
    """Fill a template and write it.

    Args:
        path: The file.
        template: One of ours.
        content: Variables of the template; all text in it is escaped.

    Raises:
        MissingExtraError: If Jinja is not installed.
        OutputError: If the file cannot be written.
    """
    pieces = _environment().get_template(template).generate(**content)
    with (
        replacing(path) as part,
        # Names of files may be no Unicode.
        part.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        file.writelines(pieces)


def _environment() -> Any:
    """Jinja with our templates, and what all of them name."""
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
    except ImportError as error:
        raise MissingExtraError("a report", "evaluate") from error
    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    script = (_FOLDER / "sort.js").read_text("utf-8")
    names: dict[str, Any] = dict(
        style=(_FOLDER / "style.css").read_text("utf-8"),
        script=script,
        script_hash=_hash(script),
        version=VERSION,
        printable=printable,
        arrows=wording.ARROWS,
        directions=wording.DIRECTIONS,
        number=wording.number,
        quantity=wording.quantity,
        interval=wording.interval,
        aligned=wording.aligned,
        bounds=wording.bounds,
        signed=wording.signed,
        p_value=wording.p_value,
        column_head=wording.column_head,
        count=wording.count,
        head=wording.head,
    )
    environment.globals.update(names)
    return environment


def _hash(script: str) -> str:
    """Hash with which the page's policy allows its one script."""
    digest = hashlib.sha256(script.encode("utf-8")).digest()
    return f"sha256-{base64.b64encode(digest).decode('ascii')}"
