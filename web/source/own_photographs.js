// Photographs of the visitor, kept in this browser for the next visit, with the marks on them. A window
// that keeps nothing goes on without.

const STORE = "photographs", MOST = 12, MOST_BYTES = 100e6;

const told = (request) => new Promise((done, failed) => {
  request.onsuccess = () => done(request.result);
  request.onerror = () => failed(request.error);
});

async function store(mode) {
  const opening = indexedDB.open("rilievo", 1);
  opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, { keyPath: "id" });
  return (await told(opening)).transaction(STORE, mode).objectStore(STORE);
}

const whereKept = async (act, otherwise = null) => {
  try {
    return await act();
  } catch {
    return otherwise;
  }
};

// All of them, the newest first.
export const all = () => whereKept(async () => (await told((await store("readonly")).getAll())).sort((one, other) => other.when - one.when), []);

export async function find(id) {
  return (await all()).find((each) => each.id === id) ?? null;
}

// Keeps a file, and gives the id by which it is found again; none where it cannot be kept.
export function keep(file) {
  const id = [...crypto.getRandomValues(new Uint8Array(8))].map((each) => each.toString(16).padStart(2, "0")).join("");
  return whereKept(async () => {
    if (file.size > MOST_BYTES / 2) return null;
    const kept = await all(), target = await store("readwrite");
    await told(target.put({ id, name: file.name, file, marks: "", when: Date.now() }));
    let left = MOST_BYTES - file.size;
    for (const [place, each] of kept.entries()) {
      left -= each.file.size;
      if (place >= MOST - 1 || left < 0) target.delete(each.id);
    }
    return id;
  });
}

export const mark = (id, marks) => whereKept(async () => {
  const target = await store("readwrite"), found = await told(target.get(id));
  if (found) target.put({ ...found, marks });
});

export const forget = () => whereKept(async () => (await store("readwrite")).clear());
