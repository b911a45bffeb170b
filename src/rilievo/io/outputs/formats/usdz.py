"""Textured mesh as USDZ, for AR Quick Look and 3-D programs.

The zip stores its files without compression, each at a multiple of 64 bytes (Pixar). The photograph
is the emission of a black surface, because it contains its own lighting.
"""

import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rilievo.geometry.cameras.camera import Camera
from rilievo.io.outputs.formats.glb import NO_METRES, textured_mesh
from rilievo.io.outputs.formats.gltf import TriangleMesh
from rilievo.io.outputs.sidecar import FileFacts
from rilievo.io.outputs.writing import WriteJob
from rilievo.records.depth_map import DepthKind, DepthMap

_ALIGNMENT = 64  # [bytes]
_LOCAL_HEADER_BYTES = 30
_PADDING_ID = 0x1986
"""Identifier of the extra field of a zip with which Pixar's own writer pads."""
_TEXTURE = "photograph.jpg"
_LAYER = """#usda 1.0
(
    customLayerData = {{
        string rilievo = {about}
    }}
    defaultPrim = "Surface"{unit}
    metersPerUnit = 1
    upAxis = "Y"
)

def Xform "Surface" (
    kind = "component"
)
{{
    def Mesh "Mesh" (
        prepend apiSchemas = ["MaterialBindingAPI"]
    )
    {{
        uniform bool doubleSided = 1
        float3[] extent = [{extent}]
        int[] faceVertexCounts = [{counts}]
        int[] faceVertexIndices = [{vertex_indices}]
        rel material:binding = </Surface/Photograph>
        normal3f[] normals = [{normals}] (
            interpolation = "vertex"
        )
        point3f[] points = [{points}]{texture_coordinates}
        uniform token subdivisionScheme = "none"
    }}

    def Material "Photograph"
    {{
        token outputs:surface.connect = </Surface/Photograph/Shader.outputs:surface>

        def Shader "Shader"
        {{
            uniform token info:id = "UsdPreviewSurface"
            color3f inputs:diffuseColor = (0, 0, 0)
            color3f inputs:emissiveColor{emission}
            float inputs:metallic = 0
            float inputs:roughness = 1
            token outputs:surface
        }}{texture}
    }}
}}
"""
_UNIT = '\n    doc = "The unit is {unit}."'
_TEXTURE_COORDINATES = """
        texCoord2f[] primvars:st = [{pairs}] (
            interpolation = "vertex"
        )"""
_TEXTURE_READER = """

        def Shader "Places"
        {{
            uniform token info:id = "UsdPrimvarReader_float2"
            string inputs:varname = "st"
            float2 outputs:result
        }}

        def Shader "Texture"
        {{
            uniform token info:id = "UsdUVTexture"
            asset inputs:file = @{file}@
            token inputs:sourceColorSpace = "sRGB"
            float2 inputs:st.connect = </Surface/Photograph/Places.outputs:result>
            token inputs:wrapS = "{wrap}"
            token inputs:wrapT = "clamp"
            float3 outputs:rgb
        }}"""


def write(job: WriteJob, depth: DepthMap, camera: Camera) -> FileFacts:
    """Write the textured mesh that ``glb`` also writes."""
    textured = textured_mesh(job, depth, camera)
    # USD writes strings as JSON does, except for characters outside of ASCII, which stay.
    about = json.dumps(job.sidecar.embedded_json(textured.file_facts), ensure_ascii=False)
    unit = "" if depth.kind is DepthKind.METRIC else _UNIT.format(unit=NO_METRES)
    files = {"surface.usda": _usd_layer_text(textured.mesh, about, unit).encode()}
    if textured.mesh.texture is not None:
        files[_TEXTURE] = textured.mesh.texture.jpeg
    _write_usdz(job.path, files)
    return textured.file_facts


def _usd_layer_text(mesh: TriangleMesh, about: str, unit: str) -> str:
    """Fill the template of the USD file that describes the mesh and its material."""
    texture_coordinates = ""
    if mesh.texture_coordinates is not None:
        # The origin of USD's texture coordinates is the lower left corner.
        flipped = mesh.texture_coordinates * [1, -1] + [0, 1]
        texture_coordinates = _TEXTURE_COORDINATES.format(pairs=_usd_tuples(flipped))
    # The rest of the template's line "color3f inputs:emissiveColor": a value or a connection.
    emission = " = (0.5, 0.5, 0.5)"
    texture_shaders = ""
    if mesh.texture is not None:
        emission = ".connect = </Surface/Photograph/Texture.outputs:rgb>"
        wrap = "repeat" if mesh.texture.wraps_around else "clamp"
        texture_shaders = _TEXTURE_READER.format(file=_TEXTURE, wrap=wrap)
    return _LAYER.format(
        about=about,
        unit=unit,
        extent=_usd_tuples(np.stack([mesh.points.min(axis=0), mesh.points.max(axis=0)])),
        counts=", ".join(["3"] * len(mesh.triangles)),
        vertex_indices=", ".join(map(str, mesh.triangles.reshape(-1).tolist())),
        normals=_usd_tuples(mesh.normals),
        points=_usd_tuples(mesh.points),
        texture_coordinates=texture_coordinates,
        emission=emission,
        texture=texture_shaders,
    )


def _usd_tuples(rows: np.ndarray) -> str:
    """Write rows of numbers as tuples of USD, with six digits for each number."""
    template = "(" + ", ".join(["%.6g"] * rows.shape[1]) + ")"
    return ", ".join(template % tuple(row) for row in rows.tolist())


def _write_usdz(path: Path, files: Mapping[str, bytes]) -> None:
    """Write files into a zip, each after an extra field that aligns its first byte."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name)
            assert archive.fp is not None, "the archive is open"
            extra_field_start = archive.fp.tell() + _LOCAL_HEADER_BYTES + len(name)
            extra_header_bytes = 4
            padding = -(extra_field_start + extra_header_bytes) % _ALIGNMENT
            entry.extra = struct.pack("<HH", _PADDING_ID, padding) + bytes(padding)
            archive.writestr(entry, data)
