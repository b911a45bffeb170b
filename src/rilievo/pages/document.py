"""Self-contained pages of HTML."""

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rilievo.io.files.atomic import replacing
from rilievo.io.files.names import printable
from rilievo.io.map_pictures import (
    ANGLE_COLOURS,
    DEPTH_COLOURS,
    SIGNED_COLOURS,
    describe_depth_colours,
)
from rilievo.io.outputs.formats.colour_files import css_colours
from rilievo.version import VERSION

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$&])")
_LATEX: Mapping[str, str] = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': r"\textquotedbl{}",
    "δ": r"$\delta$",
    "°": r"$^{\circ}$",
    "λ": r"$\lambda$",
    "±": r"$\pm$",
    "→": r"$\rightarrow$",
    "×": r"$\times$",
    "²": r"$^{2}$",
    "³": r"$^{3}$",
    "–": "--",
    "↓": r"$\downarrow$",
    "↑": r"$\uparrow$",
}
if TYPE_CHECKING:
    from jinja2 import Environment
_FOLDER = Path(__file__).parent


def markdown_text(text: str) -> str:
    """Escape text for Markdown."""
    return _MARKDOWN.sub(r"\\\1", text)


def latex_text(text: str) -> str:
    """Escape text for LaTeX."""
    return "".join(_LATEX.get(character, character) for character in text)


def latex_command(text: str, name: str) -> str:
    """Wrap LaTeX in a command, as ``textbf``."""
    return f"\\{name}{{{text}}}"


def write_page(path: Path, template: str, **content: Any) -> None:
    """Write a filled template."""
    with replacing(path) as part:
        write_pieces(part, page_pieces(template, **content))


def write_pieces(path: Path, texts: Iterable[str]) -> None:
    """Write texts, whose names of files may be no Unicode."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.writelines(texts)


def page_pieces(
    template: str,
    *,
    scripts: Sequence[str] | None = None,
    own_style: str = "",
    inline_styles: bool = True,
    beside: bool = False,
    **content: Any,
) -> Iterator[str]:
    """Yield a page in pieces, which browsers draw as they come.

    Args:
        template: Name of a template.
        scripts: Texts of scripts; None for the shared one.
        own_style: Rules after the shared style sheet.
        inline_styles: Whether elements may have styles of their own.
        beside: Whether pictures may stand in files beside the page.
        content: Variables of the template.
    """
    shared = (asset("stage/slider.js"), asset("pages.js"))
    texts = shared if scripts is None else scripts
    style = f"{_ramp_variables()}{asset('style.css')}{own_style}"
    allowed = "'unsafe-inline'" if inline_styles else _policy_hash(style)
    images = "'self' file: data:" if beside else "data:"
    policy = (
        f"default-src 'none'; img-src {images}; style-src {allowed}; "
        f"script-src {' '.join(map(_policy_hash, texts))}; base-uri 'none'; form-action 'none'"
    )
    filled = _template_environment().get_template(template)
    return filled.generate(policy=policy, style=style, scripts=texts, **content)


def fill_text_template(template: str, **content: Any) -> str:
    """Fill a template of Markdown or LaTeX."""
    return _template_environment().get_template(template).render(**content).strip() + "\n"


def write_text(path: Path, text: str) -> None:
    """Write text atomically."""
    with replacing(path) as part:
        write_pieces(part, [text])


def asset(name: str) -> str:
    """Read a script, style or licence."""
    return (_FOLDER / name).read_text("utf-8")


@cache
def _template_environment() -> "Environment":
    # Imported here: predictions are made without it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(md=markdown_text, tex=latex_text, command=latex_command)
    names: dict[str, Any] = {
        "version": VERSION,
        "printable": printable,
        "count": "{:,}".format,
        "depth_colours": describe_depth_colours(DEPTH_COLOURS),
    }
    environment.globals.update(names)
    return environment


@cache
def _ramp_variables() -> str:
    maps = {"depth": DEPTH_COLOURS, "signed": SIGNED_COLOURS, "angle": ANGLE_COLOURS}
    ramps = (
        f"--{name}-ramp: linear-gradient(to right, {', '.join(css_colours(colour_map))});"
        for name, colour_map in maps.items()
    )
    return f":root {{ {' '.join(ramps)} }}\n"


def _policy_hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
