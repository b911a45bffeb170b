"""README's examples pass pyright in strict mode, as typed users of the package would run it."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^```python[^\n]*\n(.*?)^```", re.DOTALL | re.MULTILINE)
TYPED = (
    "README.md",
    "docs/index.md",
    "docs/quickstart.md",
    "docs/metres.md",
    "docs/measure.md",
    "docs/reference/*.md",
)
# Its programs read files with packages that have no types, such as OpenEXR and trimesh.
WITHOUT_TYPES = ROOT / "docs/reference/formats.md"
# What a user of a model that may give normals alone writes; and what is refused to all others.
NORMALS_ONLY = """
import rilievo

prediction = rilievo.predict("photo.jpg")
depth = prediction.depth_or_none
print(depth if depth is None else depth.kind, prediction.depth.kind.is_depth)
"""
NOT_CHECKED = """
import rilievo

print(rilievo.predict("photo.jpg").depth_or_none.kind)
"""


@pytest.mark.slow
def test_the_python_of_readme_and_guides_is_strictly_typed(tmp_path: Path) -> None:
    pages = [page for pattern in TYPED for page in sorted(ROOT.glob(pattern))]
    for page in (each for each in pages if each != WITHOUT_TYPES):
        for number, code in enumerate(BLOCK.findall(page.read_text(encoding="utf-8")), 1):
            (tmp_path / f"{page.stem}_{number}.py").write_text(code, encoding="utf-8")
    written = sorted(path.name for path in tmp_path.glob("*.py"))
    assert "README_1.py" in written
    (tmp_path / "normals_only.py").write_text(NORMALS_ONLY, encoding="utf-8")
    (tmp_path / "not_checked.py").write_text(NOT_CHECKED, encoding="utf-8")
    found = strictly(tmp_path)
    # The last shows that pyright looked: unlike ``depth``, what may be missing is refused.
    assert [each for each in found if "not_checked.py" in each], "pyright did not look"
    assert not [each for each in found if "not_checked.py" not in each]


def strictly(folder: Path) -> list[str]:
    """Errors of pyright for a folder in strict mode, with their place."""
    config = {"strict": ["**"], "extraPaths": [str(ROOT / "src")], "pythonVersion": "3.11"}
    (folder / "pyrightconfig.json").write_text(json.dumps(config), encoding="utf-8")
    command = (sys.executable, "-m", "pyright", "--pythonpath", sys.executable, "--outputjson")
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert done.stdout.startswith("{"), done.stderr[-200:]
    return [
        f"{Path(each['file']).name}:{each['range']['start']['line'] + 1}: {each['message']}"
        for each in json.loads(done.stdout)["generalDiagnostics"]
    ]
