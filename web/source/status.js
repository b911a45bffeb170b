// The line of the page that says what is being done.

import { part } from "viewer";

/**
 * Show a sentence in the status line.
 * @param {string} text
 * @param {boolean} [isError]
 * @param {boolean} [isSettled] Whether the result itself shows as much, so that a phone hides the line.
 */
export function say(text, isError = false, isSettled = false) {
  const line = part("state");
  line.textContent = text;
  line.classList.toggle("fault", isError);
  line.classList.toggle("settled", isSettled);
}

/**
 * Show what went wrong.
 * @param {string} subject What failed, for example the name of a file.
 * @param {Error} error
 */
export const sayError = (subject, error) => say(`${subject}: ${error.message}`, true);

/**
 * Show how much of a network has been downloaded.
 * @param {{count: number, whole: number}} progress Bytes; `whole` is 0 while it is not known, and `count` at the end.
 */
export function sayDownload({ count, whole }) {
  if (count === whole) {
    say("Loading the model …");
    return;
  }
  const ofWhole = whole ? ` of ${(whole / 1e6).toFixed(1)}` : "";
  say(`Loading the model: ${(count / 1e6).toFixed(1)}${ofWhole} MB`);
}
