#!/usr/bin/env bash
# Makes src/rilievo/pages/surface_view/ogl.js anew from the package of its authors; needs node and npm.
# OGL comes as modules, and a page that is opened from disk may not import any: so what the page
# uses of it becomes one script, which sets the global OGL and nothing else.
set -euo pipefail
ogl=1.0.11 esbuild=0.28.2
page="$(cd "$(dirname "$0")/.." && pwd)/src/rilievo/pages/surface_view"
folder="$(mktemp -d)"
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm init --yes >/dev/null
npm install --silent "ogl@$ogl" "esbuild@$esbuild"
cat > entry.js <<'END'
export { Camera } from "ogl/src/core/Camera.js";
export { Geometry } from "ogl/src/core/Geometry.js";
export { Mesh } from "ogl/src/core/Mesh.js";
export { Orbit } from "ogl/src/extras/Orbit.js";
export { Program } from "ogl/src/core/Program.js";
export { Renderer } from "ogl/src/core/Renderer.js";
export { Texture } from "ogl/src/core/Texture.js";
END
npx esbuild entry.js --bundle --minify --format=iife --global-name=OGL --target=es2020 \
    --banner:js="// OGL $ogl, by Nathan Gordon and others, public domain (Unlicense); bundled by esbuild $esbuild." \
    --outfile="$page/ogl.js"
