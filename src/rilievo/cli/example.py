"""``rilievo example``: write an example program for another tool."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import rilievo
from rilievo.cli.parsing import parse
from rilievo.cli.streams import format_table, printing, say
from rilievo.errors import OptionError, suggest
from rilievo.errors.messages import OptionName, Text
from rilievo.io.files.atomic import write_bytes
from rilievo.io.files.names import printable
from rilievo.schema.fields import option

EXAMPLES: Mapping[str, str] = {
    "blender": "blender_import.py",
    "colmap": "colmap_priors.py",
    "cpp": "exported_network.cpp",
    "notebook": "first_look.ipynb",
    "ros2": "ros2_depth_node.py",
}
"""File of each example; pyproject.toml puts them into the wheel."""


@dataclass(frozen=True, kw_only=True)
class _Arguments:
    name: Annotated[str | None, option(positional=True, metavar="NAME")] = None
    """Example to write. If you leave it out, all examples are listed."""
    output: Annotated[Path | None, option(aliases=("-o",), metavar="FILE|FOLDER")] = None
    """File to write, or a folder for it. By default, the example's own name in this folder."""
    overwrite: bool = False
    """Replace an existing file."""


def main(arguments: Sequence[str]) -> int:
    """Write an example program, or list the available ones; return the exit code."""
    request = parse(
        _Arguments,
        arguments,
        prog="rilievo example",
        description="Write an example program for another tool or language (Blender, C++, COLMAP, "
        "ROS 2), which you can run or adapt.",
        examples=("rilievo example", "rilievo example blender"),
    )
    if request.name is None:
        rows = [(name, file, _summary(_example_file(name))) for name, file in EXAMPLES.items()]
        with printing():
            say(format_table(("name", "file", "what it does"), rows))
    else:
        _write_example(request, request.name)
    return 0


def _write_example(request: _Arguments, name: str) -> None:
    """Write an example, and print its summary and its usage."""
    if name not in EXAMPLES:
        raise OptionError(f"no example '{name}'; {suggest(name, EXAMPLES)}")
    source = _example_file(name)
    file_name = EXAMPLES[name]
    path = request.output or Path(file_name)
    if path.is_dir():
        path = path / file_name
    content = source.read_bytes()
    if path.exists() and not request.overwrite and path.read_bytes() != content:
        raise OptionError(
            "already exists with other content",
            path=printable(path),
            hint=Text(
                "use ",
                OptionName("overwrite"),
                " to replace it, or choose another ",
                OptionName("output"),
            ),
        )
    write_bytes(path, content)
    # A usage may have several lines, of which all but the last end with a backslash.
    usage = re.search(r"^Usage: ((?:.*\\\n)*.*)", content.decode(), re.MULTILINE)
    with printing():
        say(f"{printable(path)}: {_summary(source)}")
        if usage is not None:
            command_line = usage[1].replace("\\", "")
            say(f"usage: {' '.join(command_line.split())}")


def _example_file(name: str) -> Path:
    """Find an example in the installed package, or in the checkout of the source code."""
    package = Path(rilievo.__file__).parent
    checkout = package.parents[1]
    for folder in (package, checkout):
        path = folder / "examples" / EXAMPLES[name]
        if path.is_file():
            return path
    raise OptionError(
        f"example '{name}' is missing from this installation of rilievo; reinstall rilievo"
    )


def _summary(source: Path) -> str:
    """First line of a program's docstring or comment, or of a notebook's first cell."""
    text = source.read_text(encoding="utf-8")
    if source.suffix == ".ipynb":
        text = "".join(json.loads(text)["cells"][0]["source"]).lstrip("# ")
    return text.lstrip('"/* ').partition("\n")[0].removesuffix(".")
