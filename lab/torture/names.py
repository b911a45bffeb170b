"""Names of code in every field of every file that is read as a tree: none may be run.

Each text in turn, key or value, becomes the name of a module that makes the marker, by its file
and by its name on Python's path. Reading may succeed or be refused.
"""

import json
import os
import re
import struct
import sys
from collections.abc import Callable, Iterator, Mapping
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from lab.torture.findings import Findings, table_of
from lab.torture.reader import Reader, write_text
from lab.torture.readers import all_readers
from lab.torture.settings import Settings
from lab.torture.worker import Outcome, Sandbox, judged

MODULE = "torture_planted"
"""Module that makes the marker when it is imported."""

_PLANTED = """\
import os
open(os.environ["TORTURE_MARKER"], "w").close()
class Planted:
    def __init__(self, *given, **named): pass
"""


def plant(folder: Path) -> tuple[str, str]:
    """Write the module into a folder on Python's path; returns its two names.

    rilievo's variable of trusted code is emptied, so that earlier work does not count.
    """
    from rilievo.extensions.trust import TRUST

    os.environ.pop(TRUST, None)
    os.environ["HF_HUB_OFFLINE"] = "1"  # changed names of networks would be asked of the hub
    path = folder / f"{MODULE}.py"
    write_text(path, _PLANTED)
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    return f"{MODULE}:Planted", f"{path}:Planted"


def with_name(form: str, good: bytes, name: str) -> Iterator[bytes]:
    """Files in which one text after the other is the name; none for forms that are no trees."""
    if form in _EDITORS:
        yield from _EDITORS[form](good, name)


def _trees(tree: Any, name: str) -> Iterator[Any]:
    """Copies of a tree in which one text, key or value, is the name."""
    if isinstance(tree, str):
        yield name
    elif isinstance(tree, list):
        for place, each in enumerate(tree):
            for changed in _trees(each, name):
                yield [*tree[:place], changed, *tree[place + 1 :]]
    elif isinstance(tree, dict):
        for key, each in tree.items():
            yield {name if other == key else other: value for other, value in tree.items()}
            for changed in _trees(each, name):
                yield {**tree, key: changed}


def _json(good: bytes, name: str) -> Iterator[bytes]:
    for tree in _trees(json.loads(good), name):
        yield json.dumps(tree).encode()


def _yaml(good: bytes, name: str) -> Iterator[bytes]:
    import yaml

    for tree in _trees(yaml.safe_load(good), name):
        yield json.dumps(tree).encode()


def _toml(good: bytes, name: str) -> Iterator[bytes]:
    text = good.decode()
    for found in re.finditer(r'"[^"\n]*"', text):
        yield f"{text[: found.start()]}{json.dumps(name)}{text[found.end() :]}".encode()


def _onnx(good: bytes, name: str) -> Iterator[bytes]:
    import onnx

    for place in range(len(onnx.load_from_string(good).metadata_props)):
        model = onnx.load_from_string(good)
        model.metadata_props[place].value = name
        yield model.SerializeToString()


def _safetensors(good: bytes, name: str) -> Iterator[bytes]:
    [length] = struct.unpack("<Q", good[:8])
    header = json.loads(good[8 : 8 + length])
    # Keys of tensors are compared with those of a network, and there are hundreds.
    for metadata in _trees(header.get("__metadata__", {}), name):
        changed = json.dumps({**header, "__metadata__": metadata}).encode()
        yield struct.pack("<Q", len(changed)) + changed + good[8 + length :]


_EDITORS: Mapping[str, Callable[[bytes, str], Iterator[bytes]]] = {
    "json": _json,
    "yaml": _yaml,
    "toml": _toml,
    "onnx": _onnx,
    "safetensors": _safetensors,
}

_SUITE = """\
title = "a suite"
[[runs]]
benchmark = "depth"
dataset = "folder"
folder = "photos"
name = "ours"
"""


def _write_shown(folder: Path) -> None:
    """An evaluation whose dataset is not there: its command is read before that is noticed."""
    all_readers()["our evaluation.json"].write(folder)
    path = folder / "one" / "evaluation.json"
    tree = json.loads(path.read_bytes())
    for name in ("--align", "--dataset", "--benchmark"):
        tree["command"] = f"rilievo evaluate --benchmark depth {name} {MODULE}:Planted"
        write_text(folder / name / "evaluation.json", json.dumps(tree))


def _read_shown(folder: Path) -> object:
    from rilievo.errors import RilievoError
    from rilievo.evaluation.evaluation_folder import read_evaluation
    from rilievo.evaluation.evaluation_report import write_report
    from rilievo.evaluation.views.evaluated_run import open_run

    for path in sorted(folder.glob("*/evaluation.json")):
        try:
            open_run(path, None)
        except RilievoError:
            continue
    write_report(read_evaluation(folder / "one"), folder / "page.html")
    return None


def _read_suite(folder: Path) -> object:
    from rilievo.evaluation.benchmarks import find_benchmark
    from rilievo.evaluation.benchmarks.suite import find_suite

    return [find_benchmark(run.benchmark) for run in find_suite(folder / "suite.toml").runs]


OTHERS = (
    Reader(
        name="TOML of a suite",
        write=lambda folder: write_text(folder / "suite.toml", _SUITE),
        victims={"suite.toml": "toml"},
        read=_read_suite,
    ),
    Reader(
        name="evaluation shown again",
        write=_write_shown,
        victims={"one/evaluation.json": "json"},
        read=_read_shown,
    ),
)
"""Readers of names that the other parts do not try."""


_WITHOUT_TEXT = ("run on video: its weights",)
"""Readers of trees in which nothing is text, so that nothing can name code."""


def readers() -> dict[str, Reader]:
    """Readers of files in which names can be replaced."""
    found = {each.name: each for each in (*all_readers().values(), *OTHERS)}
    return {
        name: each
        for name, each in found.items()
        if _EDITORS.keys() & set(each.victims.values()) and name not in _WITHOUT_TEXT
    }


def tried(
    reader: Reader, sandbox: Sandbox, planted: tuple[str, ...], cases: range | None = None
) -> Iterator[Outcome]:
    """Outcomes of one reader, each with one text of one of its files replaced.

    Args:
        reader: Reader to try.
        sandbox: Folders in which its files are written.
        planted: Names of the planted code.
        cases: Cases to try; all by default.
    """
    sandbox.begin(reader)
    case = -1
    for pattern, form in reader.victims.items():
        victims = [name for name in sorted(sandbox.good) if fnmatchcase(name, pattern)]
        for victim in victims:
            for name in planted:
                for changed in with_name(form, sandbox.good[victim], name):
                    case += 1
                    if cases is not None and case not in cases:
                        continue
                    sys.modules.pop(MODULE, None)
                    sandbox.put({victim: changed})
                    yield judged(reader, sandbox, case)


_ROUNDS = range(1), range(1, 1_000_000)
"""Cases of each reader in the first round, so that every reader has a try, and in the second."""


def names() -> list[str]:
    """Names of all readers."""
    return [*readers()]


def run(settings: Settings) -> Findings:
    """Try all readers, in two rounds."""
    os.environ["TORTURE_MARKER"] = str(settings.work / "executed")
    planted = plant(settings.work / "code")
    sandbox, bad = Sandbox(settings.work / "names"), list[str]()
    counts = {name: 0 for name in readers() if settings.asks_for(name)}
    partly: set[str] = set()
    for cases in _ROUNDS:
        for name in counts:
            if settings.is_over:
                partly.add(name)
                continue
            for outcome in tried(readers()[name], sandbox, planted, cases):
                counts[name] += 1
                if "code inside" in outcome.said:
                    bad.append(f"{name}#{outcome.case}: {outcome.said}")
    done = sum(count > 0 for count in counts.values())
    header = ("readers", "files that name code", "code that was run")
    findings = Findings(
        table=table_of(header, [(done, sum(counts.values()), len(bad))], words=0),
        bad=tuple(bad[:20]),
        untried=tuple(
            f"{name} (names{': all but its first file' if counts[name] else ''})"
            for name in counts
            if name in partly
        ),
    )
    findings.show()
    return findings
