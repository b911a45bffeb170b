"""Fixtures of the product's tests."""

import re
from importlib.util import find_spec
from pathlib import Path

pytest_plugins = ("support.shared_fixtures", "support.tiny_networks", "support.replicate_calls")

_USES_LAB = re.compile(r"^(?:from|import) (?:lab\.|support\.rooms_asked)", re.MULTILINE)

# Tests that try src with what lab makes, such as rendered rooms, need it; all others run without.
collect_ignore = []
if find_spec("lab") is None or find_spec("lab.scenes") is None:
    files = Path(__file__).parent.rglob("test_*.py")
    collect_ignore += [str(file) for file in files if _USES_LAB.search(file.read_text("utf-8"))]
