// Builds what `rilievo page` writes beside the networks: node build.js, or `make page` above.
// Nothing is fetched; `npm ci` has put the pinned packages here.

import { createHash } from "node:crypto";
import { copyFile, mkdir, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const RUNTIME = "node_modules/onnxruntime-web/dist/ort-wasm-simd-threaded";
const BUILT = "../src/rilievo/serving/browser/built/", VIEWER = "../src/rilievo/pages/";

// The scripts of the page that --save html writes are no modules; here they are two.
const RENEW = `
export function renew() {
  life.abort();
  life = new AbortController();
}
`;
const view = (...names) => names.map((name) => `surface_view/${name}.js`);
const SHAPES = view("relief", "planes", "faces", "contour", "backing", "fill", "backdrop");
const MODULES = {
  relief: {
    scripts: SHAPES,
    exports: "export { backdropOf, cellsOf, clamp, contoured, cross, dot, edgesAlong, facesOf, fillOf, flyingOf, hasLower, hasUpper, "
      + "isInside, leastSquares, lensOf, less, listOf, onRay, pixelOf, pointOf, quantile, softPicture, steepest, through, triangles };",
  },
  viewer: {
    scripts: [...view("ogl"), ...SHAPES, ...view("viewer", "steering", "separation", "thing", "rectangle", "ruler", "sheet", "lines"), "stage/slider.js", "stage/stage.js", "stage/marks.js", "stage/share.js"],
    exports: `export { BACKING, enliven, inflate, intoAddress, inUnit, listOf, made, part, saved, setStage, sharing, through, unpack };${RENEW}`,
  },
};
const shared = {
  name: "shared",
  setup(plan) {
    plan.onResolve({ filter: /^(relief|viewer)$/ }, ({ path }) => ({ path, namespace: "shared" }));
    plan.onLoad({ filter: /.*/, namespace: "shared" }, async ({ path }) => {
      const { scripts, exports } = MODULES[path];
      const texts = await Promise.all(scripts.map((name) => readFile(here(VIEWER + name), "utf8")));
      return { contents: [...texts, exports].join("\n"), loader: "js" };
    });
  },
};

await rm(here(BUILT), { recursive: true, force: true });
await mkdir(here(BUILT), { recursive: true });
const usual = { outdir: here(BUILT), bundle: true, minify: true, format: "esm", target: "es2022", legalComments: "none",
  charset: "utf8", plugins: [shared] };
await build({ ...usual, entryPoints: { app: here("source/main.js") } });
// The worker with the runtime for WebAssembly alone, and with that which knows WebGPU too.
for (const [worker, runtime, kind, library] of [["worker", "ort", "", "wasm"], ["worker-gpu", "ort-gpu", ".jspi", "jspi"]]) {
  await build({ ...usual, entryPoints: { [worker]: here("source/worker.js") }, define: { RUNTIME: `"${runtime}"` },
    alias: { ort: here(`node_modules/onnxruntime-web/dist/ort.${library}.min.mjs`) } });
  await copyFile(here(`${RUNTIME}${kind}.mjs`), here(`${BUILT}${runtime}.mjs`));
  const packed = gzipSync(await readFile(here(`${RUNTIME}${kind}.wasm`)), { level: 9 });
  packed[9] = 255; // the system that packed it makes no difference
  await writeFile(here(`${BUILT}${runtime}.wasm.gz`), packed);
}

// By these sums a test sees that what is built is built of what lies here.
const own = (await readdir(here("source"))).map((name) => `web/source/${name}`);
const sources = [...own, ...MODULES.viewer.scripts.map((name) => `src/rilievo/pages/${name}`), "web/build.js", "web/package-lock.json"].sort();
const sums = {};
for (const name of sources) sums[name] = createHash("sha256").update(await readFile(here(`../${name}`))).digest("hex");
await writeFile(here(`${BUILT}sources.json`), `${JSON.stringify(sums, null, 1)}\n`);
