"""Open a surface in Blender as the photograph saw it: camera, size of the picture, plain colours.

Usage: blender --python blender_import.py -- photo.glb
"""

import sys

USAGE = "blender --python blender_import.py -- photo.glb"
try:
    import bpy
except ModuleNotFoundError:
    sys.exit(f"run this program in Blender: {USAGE}")
if "--" not in sys.argv[:-1]:
    sys.exit(f"no surface is given: {USAGE}")

path = sys.argv[sys.argv.index("--") + 1]
bpy.ops.wm.read_factory_settings(use_empty=True)
bpy.ops.import_scene.gltf(filepath=path)
scene = bpy.context.scene
# The file holds the photograph's own camera.
scene.camera = next(each for each in scene.objects if each.type == "CAMERA")
photo = next(each for each in bpy.data.images if each.size[0])
scene.render.resolution_x, scene.render.resolution_y = photo.size
scene.render.film_transparent = True
# The photograph has its light and its tones already.
scene.view_settings.view_transform = "Standard"
