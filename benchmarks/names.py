"""Names of all benchmarks, and the networks of the package that they measure."""

from collections.abc import Mapping

# A new benchmark is one file with ``run(settings) -> Report`` and one line here.
BENCHMARKS: Mapping[str, str] = {
    "cold_start": "one photograph, whole process, against the transformers pipeline",
    "beside_plain": "cold start, folder, video and import against a script of thirty lines",
    "beside_before": "the same against the last release and the commit before",
    "folder": "a folder of photographs against the bare network",
    "memory": "peak memory: more photographs, a large one, a longer video",
    "startup": "help, tables and import, and that none of them loads torch",
    "hub": "Depth Anything V2 small's shape by the catalogue, against the transformers pipeline",
    "loop": "rilievo.predict in a loop over photographs of 12 megapixels",
    "install": "a fresh environment with the core alone: seconds and megabytes",
    "synthetic": "frames a second of the renderer, alone and in clips",
    "scoring": "654 predictions on disk: the whole evaluation, and its memory",
    "app": "the page in a real Chromium: first paint, answers, memory of the server",
    "serve": "the HTTP interface under load, against a folder",
    "page": "the folder of rilievo page in a real Chromium: size, first answers, live depth",
    "embedded": "the embedded networks side by side, alone and as whole predictions",
    "steps": "training steps of Monodepth2 and Probe3D, against their plain form",
    "ray": "two processes against Ray with two actors; memory over 5,000 photographs",
}

_BASE, _SMALL = "base.onnx", "small.onnx"
NETWORKS: Mapping[str, tuple[str, ...]] = {
    "cold_start": (_BASE, _SMALL),
    "beside_plain": (_BASE, _SMALL),
    "beside_before": (_BASE, _SMALL),
    "folder": (_BASE, _SMALL),
    "memory": (_BASE, _SMALL),
    "loop": (_BASE,),
    "app": (_BASE,),
    "serve": (_BASE,),
    "page": (_SMALL,),
    "embedded": (_BASE, _SMALL),
    "ray": (_BASE,),
}
