// The settings of the chat: what is left empty is as in the package of the model.

import { byId } from "./dom.js";

const NUMBERS = ["temperature", "top_p", "top_k", "max_tokens", "seed"];
const WIDE = matchMedia("(min-width: 60rem)");

const fields = byId("options").elements;

/** The fields of a request; null where a number is out of its range, which the form then shows. */
export function asked() {
  const form = byId("options");
  if (!form.checkValidity()) byId("settings").open = true;
  if (!form.reportValidity()) return null;
  const found = {};
  for (const name of NUMBERS) if (fields[name].value !== "") found[name] = fields[name].valueAsNumber;
  const stops = fields.stop.value.split("\n").filter(Boolean);
  if (stops.length) found.stop = stops;
  return found;
}

/** The messages before the first question. */
export function system() {
  const text = fields.system.value.trim();
  return text ? [{ role: "system", content: text }] : [];
}

/** Show what the package of a model has where nothing is set; null for a model that has none. */
export function showDefaults(defaults) {
  for (const name of ["temperature", "top_p", "max_tokens"]) fields[name].placeholder = defaults?.[name] ?? "";
}

fields.shade.addEventListener("change", () => byId("turns").classList.toggle("shaded", fields.shade.checked));
byId("options").addEventListener("submit", (event) => event.preventDefault());
byId("settings").open = WIDE.matches;
WIDE.addEventListener("change", () => (byId("settings").open = WIDE.matches));
