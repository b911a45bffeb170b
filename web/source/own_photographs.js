// Photographs of the visitor, kept in this browser for the next visit, with the marks on them. In a window that keeps
// nothing, for example a private one, all functions do nothing.

const STORE = "photographs";
// Photographs that are kept at most, and their bytes together.
const MAX_PHOTOGRAPHS = 12;
const MAX_BYTES = 100e6;

const answerOf = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

async function openStore(mode) {
  const opening = indexedDB.open("rilievo", 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, { keyPath: "id" });
  const database = await answerOf(opening);
  return database.transaction(STORE, mode).objectStore(STORE);
}

async function ifAllowed(act, fallback = null) {
  try {
    return await act();
  } catch {
    return fallback;
  }
}

/**
 * All photographs { id, name, file, marks, when }, the newest first.
 * @returns {Promise<any[]>}
 */
export function all() {
  return ifAllowed(async () => {
    const store = await openStore("readonly");
    const photographs = await answerOf(store.getAll());
    return photographs.sort((a, b) => b.when - a.when);
  }, []);
}

/**
 * The photograph with this id; null if there is none.
 * @param {string} id
 */
export async function find(id) {
  return (await all()).find((photograph) => photograph.id === id) ?? null;
}

/**
 * Keep a file, in place of the oldest ones if there are too many.
 * @param {File} file
 * @returns {Promise<string | null>} The id by which it is found again; null if it cannot be kept.
 */
export function keep(file) {
  const bytes = [...crypto.getRandomValues(new Uint8Array(8))];
  const id = bytes.map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return ifAllowed(async () => {
    if (file.size > MAX_BYTES / 2) return null;
    const photographs = await all();
    const store = await openStore("readwrite");
    await answerOf(store.put({ id, name: file.name, file, marks: "", when: Date.now() }));

    let bytesLeft = MAX_BYTES - file.size;
    photographs.forEach((photograph, index) => {
      bytesLeft -= photograph.file.size;
      if (index >= MAX_PHOTOGRAPHS - 1 || bytesLeft < 0) store.delete(photograph.id);
    });
    return id;
  });
}

/**
 * Keep the marks on a photograph.
 * @param {string} id
 * @param {string} marks
 */
export const mark = (id, marks) => ifAllowed(async () => {
  const store = await openStore("readwrite");
  const photograph = await answerOf(store.get(id));
  if (photograph) store.put({ ...photograph, marks });
});

/** Delete all photographs. */
export const forget = () => ifAllowed(async () => (await openStore("readwrite")).clear());
