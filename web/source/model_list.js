// The list of models: what each costs before it answers, and a field that searches it by typing.

import { made, part } from "viewer";
import { settings } from "./settings.js";

const BETTER = "rilievo/base", LONGER = 3, LEAST_MEMORY = 4; // how many times as long as the first network, and GB

// Says which network answered, and offers a better one with what it costs, where the machine bears it.
export function offerBetter({ madeBy, seconds }) {
  const place = part("network"), better = settings.models.find(({ name }) => name === BETTER), list = part("model");
  if (!place) return;
  place.textContent = `By ${madeBy.model}. `;
  if (!better || madeBy.model !== settings.models[0].name || !seconds || (navigator.deviceMemory ?? LEAST_MEMORY) < LEAST_MEMORY) return;
  const longer = (LONGER * (seconds.all - seconds.read)).toFixed(1);
  const button = made("button", { type: "button", textContent: `Sharper: ${BETTER.slice(8)}, ${better.megabytes} MB, about ${longer} s each` });
  button.addEventListener("click", () => {
    list.value = BETTER;
    list.dispatchEvent(new Event("change"));
  });
  place.append(button);
}

// `model` has name, licence and megabytes, `here` whether its weights are, `commercial`, and a `note`.
export function modelOption({ name, licence, megabytes, here, commercial, note }, value, more = "") {
  const cost = here ? "here" : megabytes ? `download, ${Math.round(10 * megabytes) / 10} MB` : "download";
  return made("option", { value, textContent: [`${name}: ${cost}${more}`, licence, commercial === false ? "non-commercial" : "", note].filter(Boolean).join(", ") });
}

// Shows the models whose text has all the words that are typed; Enter takes the first of them.
export function searchModels() {
  const list = part("model"), field = part("model-search"), words = part("model-words");
  const all = [...list.children], groups = all.map((each) => ({ each, options: each.matches("option") ? [] : [...each.children] }));
  const options = [...list.options], texts = options.map((each) => each.textContent.toLowerCase());
  let found = options;
  field.addEventListener("input", () => {
    const asked = field.value.toLowerCase().split(/\s+/).filter(Boolean), chosen = list.value;
    found = options.filter((_, at) => asked.every((each) => texts[at].includes(each)));
    // The model that is in use stays in the list.
    const kept = (each) => found.includes(each) || each.value === chosen;
    list.replaceChildren(...groups.flatMap(({ each, options: own }) => {
      if (each.matches("option")) return kept(each) ? [each] : [];
      each.replaceChildren(...own.filter(kept));
      return each.children.length ? [each] : [];
    }));
    list.value = chosen;
    words.textContent = asked.length ? `${found.length} of ${options.length} models${found.length ? "; Enter takes the first" : ""}` : "";
  });
  field.addEventListener("keydown", (event) => {
    if (event.key !== "Enter" || !found.length || !field.value.trim()) return;
    list.value = found[0].value;
    list.dispatchEvent(new Event("change"));
  });
}
