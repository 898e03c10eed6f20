// The service worker: after the first visit the page needs no network.
//
// What it gives it gives with a strict policy and isolated from other origins, which any static host's page then is: so
// WebAssembly may use threads, and neither page nor workers can ask another place.

const { version, files } = BUILT; // by `mien page`
const POLICY = "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; img-src 'self' blob: data:; media-src blob:; object-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
const HEADERS = { "Content-Security-Policy": POLICY, "Cross-Origin-Opener-Policy": "same-origin", "Cross-Origin-Embedder-Policy": "require-corp" };

addEventListener("install", (event) => {
  skipWaiting();
  event.waitUntil(caches.open(version).then((cache) => cache.addAll(files)));
});

addEventListener("activate", (event) => {
  const old = async () => Promise.all((await caches.keys()).filter((name) => name.startsWith("mien-") && name !== version).map((name) => caches.delete(name)));
  event.waitUntil(old().then(() => clients.claim()));
});

addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (!/^https?:$/.test(url.protocol)) return;
  if (url.origin !== location.origin) return event.respondWith(Response.error());
  if (request.method === "GET") event.respondWith(answer(request, url));
});

async function answer(request, url) {
  url.search = url.hash = "";
  const cache = await caches.open(version);
  let response = await cache.match(url.href);
  if (!response) {
    response = await fetch(request);
    if (response.status === 200 && url.pathname.endsWith(".onnx")) await cache.put(url.href, response.clone()); // models on demand
  }
  if (response.type === "opaqueredirect" || response.status === 0) return response;
  const headers = new Headers(response.headers);
  for (const [name, value] of Object.entries(HEADERS)) headers.set(name, value);
  return new Response(response.body, { status: response.status, statusText: response.statusText, headers });
}
