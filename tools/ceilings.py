"""Compare the size of the project with its ceilings, so that it only falls.

Usage: python tools/ceilings.py [--lower]

A figure above its ceiling is one line on standard error, and the exit status is 1. ``--lower`` sets
each ceiling to today's figure where that is lower; nothing here raises one. To raise a ceiling,
edit ``tools/ceilings.toml``, and give the reason in the commit's message.

- tokens, logic, public names: as ``tools/source_tokens.py`` counts them, in src.
- class names twice: names of public classes that stand in two modules of src or more.
- options, flags: rows of the helps of all commands, and different names among them. The option
  ``--help`` does not count, and arguments have no flag.
- other bytes: files of src and web/source that are text and neither Python nor Markdown.
- scripts: tokens of JavaScript in src and web, without what is built of it; a template counts as
  one, with the tokens of its parts.
"""

import argparse
import contextlib
import io
import os
import re
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from source_tokens import measure

ROOT = Path(__file__).resolve().parents[1]
CEILINGS = ROOT / "tools/ceilings.toml"
UNCOUNTED = frozenset((".py", ".pyi", ".md"))
SCRIPT = re.compile(
    r"//[^\n]*|/\*.*?\*/"  # comments
    r"|(?P<token>\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|[A-Za-z_$][\w$]*|\d[\w.]*"
    r"|\.\.\.|[-+*/%&|^!=<>?]+|[^\s\w])",
    re.DOTALL,
)
TEMPLATE = re.compile(r"`(?:\\.|\$\{(?:[^{}]|\{[^{}]*\})*\}|[^`\\])*`", re.DOTALL)
PART = re.compile(r"\$\{((?:[^{}]|\{[^{}]*\})*)\}")
FLAG = re.compile(r"^ {2,6}(?:-\w, +)?(--[a-z][\w.-]*)", re.MULTILINE)
SUBCOMMAND = re.compile(r"^  ([a-z][a-z-]*)  +\S", re.MULTILINE)


def source_figures(source: Path) -> dict[str, int]:
    """Count tokens, logic and names of the modules below a folder."""
    sizes = [measure(file.read_bytes()) for file in source.rglob("*.py")]
    classes = Counter(name for size in sizes for name in size.classes)
    return {
        "tokens": sum(size.tokens for size in sizes),
        "logic": sum(size.logic for size in sizes),
        "public_names": sum(len(size.functions) + len(size.classes) for size in sizes),
        "class_names_twice": sum(count > 1 for count in classes.values()),
    }


def other_bytes(folders: Sequence[Path]) -> int:
    """Count the bytes of texts that are neither Python nor Markdown."""
    files = (file for folder in folders for file in folder.rglob("*") if file.is_file())
    texts = (file.read_bytes() for file in files if file.suffix not in UNCOUNTED)
    return sum(len(text) for text in texts if b"\0" not in text)


def script_tokens(text: str) -> int:
    """Count the tokens of a script, without comments."""
    count = 0

    def counted(template: re.Match[str]) -> str:
        nonlocal count
        count += sum(script_tokens(part) for part in PART.findall(template[0]))
        return '""'

    text = TEMPLATE.sub(counted, text)
    return count + sum(match["token"] is not None for match in SCRIPT.finditer(text))


def scripts(folders: Sequence[Path]) -> Iterator[Path]:
    """Scripts below folders that somebody wrote."""
    for folder in folders:
        for file in folder.rglob("*.js"):
            if not {"built", "node_modules"} & set(file.parts):
                yield file


def help_figures(helps: Mapping[str, str]) -> dict[str, int]:
    """Count options and flags in the helps of commands."""
    flags = [{*FLAG.findall(text)} - {"--help"} for text in helps.values()]
    return {"options": sum(map(len, flags)), "flags": len(set().union(*flags))}


def read_helps() -> dict[str, str]:
    """Read the helps of all commands and of what they are divided into."""
    from rilievo.cli import COMMANDS

    return {" ".join(words): text for name in COMMANDS for words, text in _helps([name]).items()}


def _helps(words: Sequence[str]) -> dict[tuple[str, ...], str]:
    text = _help(words)
    helps = {(*words,): text}
    for name in SUBCOMMAND.findall(text) if not FLAG.search(text) else ():
        helps |= _helps([*words, name])
    return helps


def _help(words: Sequence[str]) -> str:
    """Help of a command, with the options that its first help leaves out."""
    return "\n".join(_printed([*words, "--help", *more]) for more in ((), ("--all",)))


def _printed(arguments: Sequence[str]) -> str:
    from rilievo.cli import main

    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        try:
            status = main(arguments)
        except SystemExit as end:
            status = end.code
    if status:
        raise SystemExit(f"rilievo {' '.join(arguments)}: ended with {status}, expected a help")
    return printed.getvalue()


def excesses(figures: Mapping[str, int], ceilings: Mapping[str, int]) -> Iterator[str]:
    """Describe each figure that is above its ceiling, or has none."""
    for name, figure in figures.items():
        words = name.replace("_", " ")
        if name not in ceilings:
            yield f"{words}: {figure:,}, and tools/ceilings.toml has no ceiling '{name}': add it"
        elif figure > ceilings[name]:
            more = figure - ceilings[name]
            yield (
                f"{words}: {figure:,}, ceiling {ceilings[name]:,}: remove {more:,} elsewhere, or"
                " raise the ceiling in tools/ceilings.toml with a reason in the commit's message"
            )


def lowered(text: str, figures: Mapping[str, int]) -> str:
    """Text of the ceilings with each one at its figure, unless it is lower already."""
    return re.sub(
        r"^(\w+) = ([\d_]+)$",
        lambda line: f"{line[1]} = {min(int(line[2]), figures.get(line[1], int(line[2])))}",
        text,
        flags=re.MULTILINE,
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Compare the figures with their ceilings, or lower these."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--lower", action="store_true", help="lower each ceiling to its figure")
    options = parser.parse_args(arguments)
    # Help is written to the terminal's width, and the package of this checkout is measured.
    os.environ["COLUMNS"] = "200"
    sys.path.insert(0, str(ROOT / "src"))
    figures = {
        **source_figures(ROOT / "src"),
        **help_figures(read_helps()),
        "other_bytes": other_bytes([ROOT / "src", ROOT / "web/source"]),
        "scripts": sum(
            script_tokens(path.read_text()) for path in scripts([ROOT / "src", ROOT / "web"])
        ),
    }
    if options.lower:
        CEILINGS.write_text(lowered(CEILINGS.read_text(), figures))
    print(", ".join(f"{name.replace('_', ' ')} {figure:,}" for name, figure in figures.items()))
    lines = [*excesses(figures, tomllib.loads(CEILINGS.read_text()))]
    print("".join(f"{line}\n" for line in lines), end="", file=sys.stderr)
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
