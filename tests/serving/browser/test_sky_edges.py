"""The page's sky reaches the same edges of depth as Python's."""

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rilievo.io.outputs.sky import surface_sky
from rilievo.records.depth_map import DepthKind, DepthMap
from support.predictions import prediction

SOURCE = Path(__file__).parents[3] / "web" / "source" / "sky.js"
SCRIPT = """
import fs from "fs";
const { skyUpToEdges } = await import(process.argv[1]);
const read = (name) => fs.readFileSync(name), [height, width] = process.argv.slice(2).map(Number);
const depth = new Float32Array(new Uint8Array(read("depth")).buffer);
const masks = ["valid", "sky"].map((name) => new Uint8Array(read(name)));
fs.writeFileSync("out", skyUpToEdges({ depth, valid: masks[0], sky: masks[1], height, width }));
"""


@pytest.mark.skipif(shutil.which("node") is None, reason="Node is not installed")
@pytest.mark.parametrize("shape", [(120, 160), (900, 1300)])
def test_edges_are_those_of_python(shape: tuple[int, int], tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    rows, columns = np.indices(shape) / max(shape)
    outline = 0.4 + 0.05 * np.sin(30 * columns)
    depth = np.where(rows > outline, 4, 60) * random.uniform(0.98, 1.02, shape)
    depth = depth.astype(np.float32)
    sky, valid = rows < outline - 0.02, random.random(shape) > 0.01
    answer = prediction(values=depth, holes=False, with_normals=False, with_confidence=False)
    depth_map = DepthMap(values=depth, kind=DepthKind.METRIC, valid=valid)
    mask = surface_sky(replace(answer, depth_or_none=depth_map, sky=sky))
    assert (mask & ~sky).sum() > 0.01 * mask.size
    depth.tofile(tmp_path / "depth")
    for name, values in (("valid", valid), ("sky", sky)):
        values.astype(np.uint8).tofile(tmp_path / name)
    subprocess.run(
        ["node", "--input-type=module", "-e", SCRIPT, SOURCE.as_uri(), *map(str, shape)],
        cwd=tmp_path,
        check=True,
    )
    np.testing.assert_array_equal(
        np.fromfile(tmp_path / "out", np.uint8).reshape(shape).astype(bool), mask
    )
