// What the server, or the host of the page, answers. Throws an Error in the user's words.
export async function responseOf(address, more) {
  const response = await fetch(address, more).catch(() => { throw new Error("the server cannot be reached; is there a network?"); });
  if (response.ok) return response;
  const { error = `the server answered with status ${response.status}` } = await response.json().catch(() => ({}));
  throw Object.assign(new Error(error), { status: response.status });
}

// The JSON of an answer; an empty object where it is none.
export const told = async (address, more) => (await responseOf(address, more)).json().catch(() => ({}));
