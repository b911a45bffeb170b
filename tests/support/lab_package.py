"""A package of somebody else, installed: the model of the guide, and what a test adds to it."""

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

GUIDE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text("utf-8")
GUIDE = GUIDE.partition("## A model\n")[2]
"""Part of the guide on models."""


@contextmanager
def installed_lab(
    folder: Path, points: str, modules: Mapping[str, str], tables: Sequence[Any]
) -> Iterator[Path]:
    """Install the package ``lab_depth`` for a while.

    Args:
        folder: Folder of installed packages, which is made.
        points: Entry points of the package.
        modules: Code of modules beside ``lab_depth``.
        tables: Tables that find installed packages, and must forget this one afterwards.
    """
    facts = folder / "lab_depth-1.0.dist-info"
    facts.mkdir(parents=True)
    (facts / "METADATA").write_text("Metadata-Version: 2.1\nName: lab-depth\nVersion: 1.0\n")
    (facts / "entry_points.txt").write_text(points)
    blocks = re.findall(r"^```python\n(.*?)^```", GUIDE, re.M | re.S)
    [code, *_] = (block for block in blocks if "def load(" in block)
    for name, text in {"lab_depth": code, **modules}.items():
        (folder / f"{name}.py").write_text(text)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(folder)
            for table in tables:
                patch.setattr(table, "_package_entries", {})
                patch.setattr(table, "_user_entries", {})
            yield folder
    finally:
        for name in ("lab_depth", *modules):
            sys.modules.pop(name, None)
