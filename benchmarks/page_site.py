"""A page with a network in the place of ZipDepth's file, which is not downloaded.

Usage: python -m benchmarks.page_site FOLDER GRAPH
"""

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path

from rilievo.models.catalogue import table
from rilievo.models.catalogue.download import repository_folder
from rilievo.models.catalogue.table import RemoteFile
from rilievo.models.network_files import sha256
from rilievo.serving.browser.folder import write_page

MODEL, _REVISION = "zipdepth", "0" * 40


def _main(folder: Path, graph: Path) -> None:
    os.environ["HF_HOME"] = str(graph.parent / "hub")
    entry = table.ENTRIES[MODEL]
    file = RemoteFile(path=entry.files[0].path, size=graph.stat().st_size, sha256=sha256(graph))
    kept = repository_folder(entry.repository) / "snapshots" / _REVISION / file.path
    kept.parent.mkdir(parents=True)
    shutil.copyfile(graph, kept)
    pinned = replace(entry, revision=_REVISION, files=(file,))
    vars(table)["ENTRIES"] = {**table.ENTRIES, MODEL: pinned}
    write_page(folder, [MODEL])


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]))
    print(json.dumps(None))
