// What was fetched once is there without a network. `rilievo page` writes three lines above this:
// VERSION, of all files together, FILES, those that the first visit needs, and RUNTIMES, what runs the
// networks besides: on the processor, or on a graphics card. A browser is given one of the two.

// Several pages may live on one host, each with files of its own.
const PREFIX = `rilievo ${registration.scope} `, CACHE = PREFIX + VERSION;
const FIRST = [...FILES, ...RUNTIMES[new URL(location).searchParams.get("runtime") ?? "cpu"]];

addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(FIRST.map((name) => new Request(name, { cache: "no-cache" })))).then(() => skipWaiting()));
});

addEventListener("activate", (event) => {
  event.waitUntil(caches.keys()
    .then((names) => Promise.all(names.filter((name) => name.startsWith(PREFIX) && name !== CACHE)
      .map((name) => caches.delete(name))))
    .then(() => clients.claim()));
});

// Whether a page of this folder may ask for an address.
function isOwn(address) {
  if (!address.startsWith(registration.scope)) return false;
  const name = address.slice(registration.scope.length).replace(/[?#].*$/, "");
  return name === "" || FILES.includes(name) || Object.values(RUNTIMES).flat().includes(name) || /^(models\/|examples\/|page-to-save\.html$)/.test(name);
}

async function answer(event) {
  const { request } = event, cache = await caches.open(CACHE), kept = await cache.match(request, { ignoreSearch: true });
  if (kept) return kept;
  const response = await fetch(request);
  // The answer does not wait until it is kept, and is given where there is no room for it.
  if (response.status === 200) event.waitUntil(cache.put(request, response.clone()).catch(() => {}));
  return response;
}

addEventListener("fetch", (event) => {
  if (event.request.method === "GET" && isOwn(event.request.url)) event.respondWith(answer(event));
});
