// What the server, or the host of the page, answers.

/**
 * Fetch an address. Throws an Error in the user's words, with the `status` of a response that is no success.
 * @param {string} address
 * @param {RequestInit} [options]
 * @returns {Promise<Response>}
 */
export async function responseOf(address, options) {
  const response = await fetch(address, options).catch(() => {
    throw new Error("the server cannot be reached; check your network connection");
  });
  if (response.ok) return response;
  const { error = `the server responded with status ${response.status}` } = await response.json().catch(() => ({}));
  throw Object.assign(new Error(error), { status: response.status });
}

/**
 * Fetch JSON; an empty object if the answer is none. Throws as responseOf does.
 * @param {string} address
 * @param {RequestInit} [options]
 * @returns {Promise<any>}
 */
export async function fetchJson(address, options) {
  const response = await responseOf(address, options);
  return response.json().catch(() => ({}));
}
