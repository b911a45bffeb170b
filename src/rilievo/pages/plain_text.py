"""Escapes of Markdown and LaTeX, as filters of the templates of tables."""

import re
from collections.abc import Mapping

_MARKDOWN = re.compile(r"([\\`*_{}\[\]<>#|~$&])")
_LATEX: Mapping[str, str] = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    **{each: f"\\{each}" for each in "&%$#_{}"},
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


def markdown_text(text: str) -> str:
    """Escape text so that Markdown prints it as it is."""
    return _MARKDOWN.sub(r"\\\1", text)


def latex_text(text: str) -> str:
    """Escape text so that LaTeX prints it as it is."""
    return "".join(_LATEX.get(each, each) for each in text)


def latex_command(text: str, name: str) -> str:
    """Wrap LaTeX in a command, as ``textbf``."""
    return f"\\{name}{{{text}}}"
