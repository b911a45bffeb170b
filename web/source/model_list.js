// The list of models: what each costs before it answers, and a field that searches it by typing.

import { made, part } from "viewer";
import { settings } from "./settings.js";

// The model that is offered after the first one answered, and how many times as long it takes.
const BETTER_MODEL = "rilievo/base";
const BETTER_TIME_FACTOR = 3;
// Memory that the better model needs [GB].
const MIN_MEMORY = 4;

/**
 * Say which network answered, and offer a better one with what it costs, if the machine can run it.
 * @param {any} result
 */
export function offerBetter({ madeBy, seconds }) {
  const line = part("network");
  if (!line) return;
  line.textContent = `Model: ${madeBy.model}. `;
  const better = settings.models.find(({ name }) => name === BETTER_MODEL);
  const isFirst = madeBy.model === settings.models[0].name;
  const memory = navigator.deviceMemory ?? MIN_MEMORY;
  if (!better || !isFirst || !seconds || memory < MIN_MEMORY) return;

  const name = BETTER_MODEL.slice("rilievo/".length);
  const betterSeconds = (BETTER_TIME_FACTOR * (seconds.all - seconds.read)).toFixed(1);
  const text = `For sharper depth: ${name} (${better.megabytes} MB, about ${betterSeconds} s per photograph)`;
  const button = made("button", { type: "button", textContent: text });
  button.addEventListener("click", () => choose(BETTER_MODEL));
  line.append(button);
}

function choose(value) {
  const list = part("model");
  list.value = value;
  list.dispatchEvent(new Event("change"));
}

/**
 * An entry of the list for a model.
 * @param {any} model Its name, licence and megabytes; `here`, whether its weights lie beside the page or on the
 *   server; `commercial`; and a `note`.
 * @param {string} value
 * @param {string} [remark] Text behind what it costs.
 */
export function modelOption({ name, licence, megabytes, here, commercial, note }, value, remark = "") {
  const cost = here ? "installed" : downloadCost(megabytes);
  const commerce = commercial === false ? "non-commercial" : "";
  const words = [`${name}: ${cost}${remark}`, licence, commerce, note].filter(Boolean);
  return made("option", { value, textContent: words.join(", ") });
}

const downloadCost = (megabytes) => (megabytes ? `download, ${Math.round(10 * megabytes) / 10} MB` : "download");

/** Let the search field show only the models whose text has all the words that are typed; Enter takes the first one. */
export function searchModels() {
  const list = part("model");
  const field = part("model-search");
  const summary = part("model-words");
  const entries = [...list.children];
  const optionsOfGroup = new Map(entries.map((entry) => [entry, [...entry.children]]));
  const options = [...list.options];
  const texts = options.map((option) => option.textContent.toLowerCase());
  let matches = options;

  field.addEventListener("input", () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    const chosen = list.value;
    matches = options.filter((_, index) => words.every((word) => texts[index].includes(word)));
    // The model that is in use stays in the list.
    const isShown = (option) => matches.includes(option) || option.value === chosen;
    list.replaceChildren(...entries.filter((entry) => {
      if (entry.matches("option")) return isShown(entry);
      entry.replaceChildren(...optionsOfGroup.get(entry).filter(isShown));
      return entry.children.length > 0;
    }));
    list.value = chosen;
    const hint = matches.length ? "; press Enter to choose the first" : "";
    summary.textContent = words.length ? `${matches.length} of ${options.length} models${hint}` : "";
  });
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && matches.length && field.value.trim()) choose(matches[0].value);
  });
}
