// Centrifugo's official client: the copy that `npm ci` brought, or else the same bytes from a public CDN.

export const PLACES = [
  "vendor/centrifuge.js",
  "https://cdn.jsdelivr.net/npm/centrifuge@5.8.0/dist/centrifuge.js",
];

// Of the file in the npm package, so that neither place can serve anything else.
export const INTEGRITY = "sha384-Hc/rqOA60dxGHNnO+nCm7KQ1yc4I121B7eeuuZ9vJMHEq6vVV4onLLtrwG8L79xQ";

export async function loadSdk() {
  for (const place of PLACES) {
    try {
      await load(place);
      return globalThis.Centrifuge;
    } catch {
      // The next place may have it.
    }
  }
  throw new Error("The Centrifuge client could not be loaded: it is not beside this page, and the CDN cannot be reached. " +
    "Run “npm ci” in samples/chat (python3 dev.py run does), or go online.");
}

function load(place) {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = place;
    script.integrity = INTEGRITY;
    script.crossOrigin = "anonymous";
    script.addEventListener("load", () => resolve());
    script.addEventListener("error", () => {
      script.remove();
      reject(new Error(`${place} cannot be loaded`));
    });
    document.head.append(script);
  });
}
