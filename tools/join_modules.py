"""Join modules that are paragraphs of one subject, and name the joined one wherever they are named.

Usage: python tools/join_modules.py TABLE.json

TABLE has a row for each joined module: ``{"src/rilievo/io/colmap.py": {"from":
["src/rilievo/io/colmap_text.py", ...], "about": "First line.", "names": {"src/...": {"_old":
"_new"}}}}``. The paragraphs stand in the order in which they need each other. ``about`` replaces
the first line of the docstring; without it, that of the first module stays. The other docstrings
follow as paragraphs. ``names`` gives private names that two of the modules have another word.

A row is refused, and nothing is written, where two of the modules define a name, or import it from
two places; where the joined module has more than 600 lines; and where modules would import each
other in a circle that was none before.
"""

import argparse
import ast
import io
import json
import re
import shutil
import subprocess
import sys
import tokenize
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ("src", "tests", "lab", "benchmarks", "tools", ".ci")
TEXTS = (".py", ".pyi", ".md", ".toml", ".json", ".yml", ".yaml", ".txt", ".cfg", ".js", ".tsv")
PUBLIC_NAMES = ROOT / "src/rilievo/__init__.py"
"""Table of public names, whose homes lack the name of the package."""
READERS = ROOT / "tests/reader_table.toml"
"""Table of functions that open files, by the end of their names."""
MOST_LINES = 600
IMPORTS = (ast.Import, ast.ImportFrom)
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


class RefusalError(Exception):
    """Modules that cannot be joined, with the reason."""


@dataclass(frozen=True)
class Module:
    """A module's paragraphs.

    Attributes:
        name: Dotted name.
        path: Path of the file.
        about: Docstring.
        imports: Imports at the top, a statement for each name.
        types: Those under TYPE_CHECKING.
        body: All other lines.
        definitions: Names that the body binds.
    """

    name: str
    path: Path
    about: str
    imports: tuple[str, ...]
    types: tuple[str, ...]
    body: str
    definitions: frozenset[str]


def dotted(path: Path) -> str:
    """Name by which a file of src is imported."""
    parts = path.relative_to(ROOT / "src").with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def read(path: Path, names: Mapping[str, str]) -> Module:
    """Read a module, with some of its names changed."""
    text = path.read_text()
    if names:
        text = renamed(text, names)
    tree = ast.parse(text)
    lines = text.splitlines(keepends=True)
    imports, types, gone = [], [], set[int]()
    about = ast.get_docstring(tree, clean=False) or ""
    if about:
        gone |= _lines_of(tree.body[0])
    for statement in tree.body:
        if isinstance(statement, IMPORTS):
            imports += _single_imports(statement)
        elif _is_for_types(statement):
            assert isinstance(statement, ast.If)
            for inner in statement.body:
                assert isinstance(inner, IMPORTS), f"{path}: more than imports under TYPE_CHECKING"
                types += _single_imports(inner)
        else:
            continue
        gone |= _lines_of(statement)
    body = "".join(line for number, line in enumerate(lines, 1) if number not in gone)
    return Module(
        name=dotted(path),
        path=path,
        about=about,
        imports=tuple(imports),
        types=tuple(types),
        body=body.strip("\n") + "\n",
        definitions=frozenset(_definitions(tree)),
    )


def renamed(text: str, names: Mapping[str, str], *, attributes: bool = False) -> str:
    """Text of a module in which some names have other words; attributes and keywords stay."""
    lines = text.splitlines(keepends=True)
    tokens = list(tokenize.generate_tokens(io.StringIO(text).readline))
    places = []
    for index, token in enumerate(tokens):
        before = tokens[index - 1].string if index else ""
        after = tokens[index + 1].string if index + 1 < len(tokens) else ""
        is_name = token.type == tokenize.NAME and token.string in names
        is_keyword = after == "=" and before in ("(", ",")
        if is_name and (attributes or before != ".") and not is_keyword:
            places.append(token)
    for token in reversed(places):
        row, column = token.start
        line = lines[row - 1]
        end = column + len(token.string)
        lines[row - 1] = line[:column] + names[token.string] + line[end:]
    return "".join(lines)


def _lines_of(statement: ast.stmt) -> set[int]:
    assert statement.end_lineno is not None
    return set(range(statement.lineno, statement.end_lineno + 1))


def _single_imports(statement: ast.Import | ast.ImportFrom) -> list[str]:
    """One statement for each name."""
    words = ""
    if isinstance(statement, ast.ImportFrom):
        assert not statement.level, "relative imports are not used"
        words = f"from {statement.module} "
    return [
        f"{words}import {alias.name}" + (f" as {alias.asname}" if alias.asname else "")
        for alias in statement.names
    ]


def _is_for_types(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.If)
        and isinstance(statement.test, ast.Name)
        and statement.test.id == "TYPE_CHECKING"
    )


def _definitions(tree: ast.Module) -> Iterator[str]:
    for statement in tree.body:
        if isinstance(statement, SCOPES):
            yield statement.name
        elif isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.For | ast.With):
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
                    yield node.id


def joined(modules: Sequence[Module], target: str, about: str | None) -> str:
    """Text of the joined module.

    Raises:
        RefusalError: If the modules do not fit.
    """
    members = {module.name for module in modules} | {target}
    ordered = _in_order(modules, members)
    _check_definitions(ordered)
    imports = _united((module.imports for module in ordered), members)
    types = [line for line in _united((m.types for m in ordered), members) if line not in imports]
    _check_imports(ordered, imports + types)
    docstrings = [module.about.strip() for module in modules if module.about.strip()]
    if about is not None:
        docstrings = [about, *docstrings]
    parts = [f'"""{_docstring(docstrings)}"""', "\n".join(imports)]
    if types:
        parts.append("if TYPE_CHECKING:\n" + "\n".join(f"    {line}" for line in types))
    parts += [_without_members(module.body, members) for module in ordered]
    text = "\n\n".join(parts) + "\n"
    try:
        ast.parse(text)
    except SyntaxError as error:
        raise RefusalError(f"without its import a block is empty: {error}") from None
    return text


def _in_order(modules: Sequence[Module], members: set[str]) -> list[Module]:
    """Modules of which each stands after those it imports at its top."""
    by_name = {module.name: module for module in modules}
    needs = {
        module.name: {
            other for line in module.imports if (other := _origin(line)) in members & set(by_name)
        }
        - {module.name}
        for module in modules
    }
    sorter = TopologicalSorter(needs)
    try:
        sorter.prepare()
    except CycleError as error:
        raise RefusalError(f"modules import each other: {error.args[1]}") from None
    ordered = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=list(by_name).index)
        ordered += ready
        sorter.done(*ready)
    return [by_name[name] for name in ordered]


def _origin(line: str) -> str:
    """Module that an import statement of one name names."""
    return line.split()[1]


def _united(statements: Iterable[Iterable[str]], members: set[str]) -> list[str]:
    lines = dict.fromkeys(line for some in statements for line in some)
    for line in lines:
        words = line.split()
        if words[0] == "from" and words[1] in members and "as" in words:
            raise RefusalError(f"a member is imported by another name: {line}")
        if words[0] == "from" and f"{words[1]}.{words[3]}" in members:
            raise RefusalError(f"a member is imported as a module: {line}")
    return [line for line in lines if _origin(line) not in members]


def _check_definitions(modules: Sequence[Module]) -> None:
    owners: dict[str, str] = {}
    for module in modules:
        for name in sorted(module.definitions):
            if name in owners:
                raise RefusalError(f"{name} stands in {owners[name]} and in {module.name}")
            owners[name] = module.name


def _check_imports(modules: Sequence[Module], lines: Sequence[str]) -> None:
    sources: dict[str, str] = {}
    for line in lines:
        words = line.split()
        name = words[-1] if words[0] == "from" or "as" in words else words[1].split(".")[0]
        if words[0] == "from" and sources.setdefault(name, line) != line:
            raise RefusalError(f"{name} comes from two places: {sources[name]}; {line}")
        for module in modules:
            if name in module.definitions:
                raise RefusalError(f"{module.name} defines {name}, and another imports it: {line}")


def _docstring(docstrings: Sequence[str]) -> str:
    text = "\n\n".join(docstrings)
    return f"{text}\n" if "\n" in text else text


def _without_members(body: str, members: set[str]) -> str:
    """Body without imports from the other modules inside its functions."""
    lines = body.splitlines(keepends=True)
    gone = set[int]()
    for node in ast.walk(ast.parse(body)):
        if isinstance(node, ast.ImportFrom) and node.module in members:
            if any(alias.asname for alias in node.names):
                raise RefusalError(f"a member is imported by another name: {ast.unparse(node)}")
            gone |= _lines_of(node)
    return "".join(line for number, line in enumerate(lines, 1) if number not in gone)


def files(folders: Sequence[str]) -> Iterator[Path]:
    """Texts of the repository, as git has them."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *folders],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    paths = (ROOT / line for line in listed.stdout.splitlines())
    return (path for path in paths if path.is_file() and path.suffix in TEXTS)


def retold(path: Path, text: str, homes: Mapping[str, str]) -> str:
    """Text of a file in which joined modules are named by their new homes."""
    if not any(name.rsplit(".", 1)[1] in text for name in homes):
        return text
    if path.suffix in (".py", ".pyi"):
        text = _modules_imported(text, homes)
    for name, home in homes.items():
        text = re.sub(rf"(?<![\w.]){re.escape(name)}(?!\w)", home, text)
        slashes, home_slashes = (module.replace(".", "/") + ".py" for module in (name, home))
        text = re.sub(rf"(?<![\w.-]){re.escape(slashes)}", home_slashes, text)
        text = text.replace(f"src/{slashes}", f"src/{home_slashes}")
        short, home_short = (path.split("/", 1)[1] for path in (slashes, home_slashes))
        if "/" in short:
            text = re.sub(rf"(?<![\w./-]){re.escape(short)}", home_short, text)
        if path == PUBLIC_NAMES:
            inner, home_inner = (module.partition(".")[2] for module in (name, home))
            text = text.replace(f'"{inner}"', f'"{home_inner}"')
        if path == READERS:
            stem, home_stem = (module.rsplit(".", 1)[1] for module in (name, home))
            text = re.sub(rf'^"{stem}\.', f'"{home_stem}.', text, flags=re.MULTILINE)
    return _once(text) if path.suffix == ".md" else text


def _once(text: str) -> str:
    """Pages of the reference name each module once."""
    told, blocks = set[str](), []
    for block in re.split(r"(?<=\n)\n", text):
        if block.startswith("::: ") and block in told:
            continue
        told.add(block)
        blocks.append(block)
    return "\n".join(blocks)


def _modules_imported(text: str, homes: Mapping[str, str]) -> str:
    """Change ``from package import module``, and the module's name where it is used."""
    names: dict[str, str] = {}
    places = []
    for node in ast.walk(ast.parse(text)):
        if not isinstance(node, ast.ImportFrom) or node.module is None:
            continue
        indent, lines, others = " " * node.col_offset, [], []
        for alias in node.names:
            home = homes.get(f"{node.module}.{alias.name}")
            if home is None:
                others.append(_alias(alias))
                continue
            package, stem = home.rsplit(".", 1)
            if alias.asname is None and alias.name != stem:
                names[alias.name] = stem
            as_name = f" as {alias.asname}" if alias.asname else ""
            lines.append(f"{indent}from {package} import {stem}{as_name}\n")
        if lines:
            if others:
                lines.append(f"{indent}from {node.module} import {', '.join(others)}\n")
            places.append((node.lineno, node.end_lineno, lines))
    rows = text.splitlines(keepends=True)
    for start, end, lines in sorted(places, reverse=True):
        rows[start - 1 : end] = lines
    text = "".join(rows)
    bound = {
        node.id
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    } | {node.arg for node in ast.walk(ast.parse(text)) if isinstance(node, ast.arg)}
    for old, new in names.items():
        if bound & {old, new}:
            text = re.sub(rf"(from \S+ import {new})\n", rf"\1 as {old}\n", text)
        else:
            text = renamed(text, {old: new})
    return text


def _alias(alias: ast.alias) -> str:
    return f"{alias.name} as {alias.asname}" if alias.asname else alias.name


def circles(texts: Mapping[str, str]) -> set[frozenset[str]]:
    """Groups of modules that import each other at their tops."""
    needs: dict[str, set[str]] = {}
    for name, text in texts.items():
        needs[name] = set()
        for statement in ast.parse(text).body:
            if isinstance(statement, ast.ImportFrom) and statement.module:
                both = [f"{statement.module}.{alias.name}" for alias in statement.names]
                needs[name] |= {module for module in (*both, statement.module) if module in texts}
    return {frozenset(group) for group in _components(needs) if len(group) > 1}


def _components(needs: Mapping[str, set[str]]) -> Iterator[set[str]]:
    """Strongly connected modules, by reachability from each."""
    reach: dict[str, set[str]] = {}
    for start in needs:
        reached, waiting = set[str](), [start]
        while waiting:
            for other in needs[waiting.pop()] - reached:
                reached.add(other)
                waiting.append(other)
        reach[start] = reached
    for name, reached in reach.items():
        yield {name} | {other for other in reached if name in reach[other]}


def main(arguments: Sequence[str] | None = None) -> int:
    """Join by a table; refusals are one line each."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("table", type=Path)
    table = json.loads(parser.parse_args(arguments).table.read_text())
    homes, texts, gone = dict[str, str](), dict[Path, str](), set[Path]()
    refusals = 0
    for file, row in table.items():
        path = ROOT / file
        sources = [ROOT / source for source in row["from"]]
        paths = [path, *sources] if path.exists() else sources
        names = {ROOT / source: words for source, words in row.get("names", {}).items()}
        try:
            modules = [read(source, names.get(source, {})) for source in paths]
            text = joined(modules, dotted(path), row.get("about"))
            lines = text.count("\n")
            if lines > MOST_LINES:
                raise RefusalError(f"{lines} lines")
        except RefusalError as error:
            print(f"{file}: {error}", file=sys.stderr)
            refusals += 1
            continue
        homes |= {dotted(source): dotted(path) for source in sources if source != path}
        texts[path] = text
        gone |= set(sources) - {path}
    if refusals:
        return 1
    if not _has_no_new_circles(texts, gone, homes):
        return 1
    named = ["docs", "README.md", "LAWS.md", "CHANGELOG.md", "pyproject.toml"]
    for path in {*files([*PYTHON, *named]), *texts} - gone:
        texts[path] = retold(path, texts.get(path) or path.read_text(), homes)
    for path, text in texts.items():
        if not path.exists() or path.read_text() != text:
            path.write_text(text)
    for path in gone:
        path.unlink()
        if {inner.name for inner in path.parent.iterdir()} <= {"__init__.py", "__pycache__"}:
            shutil.rmtree(path.parent)
    print(f"{len(gone)} modules joined into {len(table)}")
    return 0


def _has_no_new_circles(
    texts: Mapping[Path, str], gone: set[Path], homes: Mapping[str, str]
) -> bool:
    sources = {path: path.read_text() for path in (ROOT / "src").rglob("*.py")}
    before = circles({dotted(path): text for path, text in sources.items()})
    after_texts = {path: text for path, text in (sources | dict(texts)).items() if path not in gone}
    after = circles({dotted(path): _retold_imports(t, homes) for path, t in after_texts.items()})
    old = {frozenset(homes.get(name, name) for name in group) for group in before}
    new = [group for group in after if not any(group <= circle for circle in old)]
    for group in new:
        print("a circle: " + ", ".join(sorted(group)), file=sys.stderr)
    return not new


def _retold_imports(text: str, homes: Mapping[str, str]) -> str:
    for name, home in homes.items():
        package, stem = name.rsplit(".", 1)
        text = re.sub(rf"from {re.escape(name)} import", f"from {home} import", text)
        if f"from {package} import" in text and re.search(rf"\b{stem}\b", text):
            text = _modules_imported(text, {name: home})
    return text


if __name__ == "__main__":
    sys.exit(main())
