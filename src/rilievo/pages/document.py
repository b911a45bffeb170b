"""Self-contained HTML pages, and texts in Markdown and LaTeX, from templates."""

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
    """Escape the characters that mean something in Markdown."""
    return _MARKDOWN.sub(r"\\\1", text)


def latex_text(text: str) -> str:
    """Escape the characters that mean something in LaTeX, and write symbols as commands."""
    return "".join(_LATEX.get(character, character) for character in text)


def latex_command(text: str, name: str) -> str:
    """Put LaTeX into a command, such as ``textbf``."""
    return f"\\{name}{{{text}}}"


def write_page(path: Path, template: str, **content: Any) -> None:
    """Fill an HTML template and write the page; ``page_pieces`` explains the arguments."""
    with replacing(path) as part:
        write_pieces(part, page_pieces(template, **content))


def write_pieces(path: Path, texts: Iterable[str]) -> None:
    """Write texts one after the other; file names that are not valid Unicode are escaped."""
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
        file.writelines(texts)


def page_pieces(
    template: str,
    *,
    scripts: Sequence[str] | None = None,
    extra_css: str = "",
    allow_style_attributes: bool = True,
    allow_picture_files: bool = False,
    **variables: Any,
) -> Iterator[str]:
    """Fill an HTML template, and yield the HTML in pieces.

    The Content-Security-Policy of the page allows only its own scripts, styles and pictures.

    Args:
        template: Name of a file in ``templates``.
        scripts: Source texts of the scripts; by default the shared ones.
        extra_css: CSS after the shared style sheet.
        allow_style_attributes: Whether elements may have a ``style`` attribute. If not, the policy
            names the style sheet by its hash, which is stricter.
        allow_picture_files: Whether pictures may be files beside the page.
        variables: Variables of the template.
    """
    if scripts is None:
        scripts = (asset("stage/slider.js"), asset("pages.js"))
    style = f"{_colour_ramp_css()}{asset('style.css')}{extra_css}"
    style_source = "'unsafe-inline'" if allow_style_attributes else _policy_hash(style)
    image_source = "'self' file: data:" if allow_picture_files else "data:"
    policy = (
        f"default-src 'none'; img-src {image_source}; style-src {style_source}; "
        f"script-src {' '.join(map(_policy_hash, scripts))}; base-uri 'none'; form-action 'none'"
    )
    html = _template_environment().get_template(template)
    return html.generate(policy=policy, style=style, scripts=scripts, **variables)


def fill_text_template(template: str, **content: Any) -> str:
    """Fill a template of Markdown or LaTeX."""
    return _template_environment().get_template(template).render(**content).strip() + "\n"


def write_report_text(path: Path, text: str) -> None:
    """Write a text of a report, which replaces an earlier one only when it is complete.

    Characters that are not valid Unicode are escaped, and lines end with a newline everywhere.
    """
    with replacing(path) as part:
        write_pieces(part, [text])


def asset(name: str) -> str:
    """Read a script, style sheet or licence of the pages."""
    return (_FOLDER / name).read_text("utf-8")


@cache
def _template_environment() -> "Environment":
    """Jinja environment with the filters and variables that the templates use."""
    # Imported on demand, because predictions do not need it.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=lambda name: name is not None and name.endswith(".html"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(md=markdown_text, tex=latex_text, command=latex_command)
    template_globals: dict[str, Any] = {
        "version": VERSION,
        "printable": printable,
        "count": "{:,}".format,
        "depth_colours": describe_depth_colours(DEPTH_COLOURS),
    }
    environment.globals.update(template_globals)
    return environment


@cache
def _colour_ramp_css() -> str:
    """CSS variables with the colour maps as gradients, which legends are drawn with."""
    maps = {"depth": DEPTH_COLOURS, "signed": SIGNED_COLOURS, "angle": ANGLE_COLOURS}
    ramps = (
        f"--{name}-ramp: linear-gradient(to right, {', '.join(css_colours(colour_map))});"
        for name, colour_map in maps.items()
    )
    return f":root {{ {' '.join(ramps)} }}\n"


def _policy_hash(text: str) -> str:
    digest = hashlib.sha256(text.encode("utf-8")).digest()
    return f"'sha256-{base64.b64encode(digest).decode('ascii')}'"
