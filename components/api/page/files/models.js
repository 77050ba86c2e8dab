// Which models answer: one, or two side by side. The other modules ask `chosen()` and listen to "models" on the window.

import { get } from "./api.js";
import { byId, element, notice } from "./dom.js";
import { askForFeedback } from "./feedback.js";

const RETRY = 3000; // milliseconds between two looks while there is no model

let listed = [];
let waiting = 0; // the timer of the next look

/** The ids of the models that answer. */
export function chosen() {
  const ids = [byId("first").value];
  if (byId("compare").checked) ids.push(byId("second").value);
  return ids.filter(Boolean);
}

/** What `/v1/models` says about a model. */
export const entry = (id) => listed.find((model) => model.id === id);

/** Read the models again; those chosen stay so while they are there. */
export async function refresh() {
  const models = (await get("v1/models")).data;
  const state = await get("ready").catch(() => null);
  notice(fault(state, models));
  askForFeedback(Boolean(state?.keeps_answers));
  clearTimeout(waiting);
  if (!models.length) waiting = setTimeout(again, RETRY);
  if (JSON.stringify(models) === JSON.stringify(listed)) return;
  listed = models;
  fill(byId("first"), 0);
  fill(byId("second"), 1);
  byId("compare").disabled = !models.length;
  changed();
}

const again = () => refresh().catch((error) => notice(error.message));

/** The name of a model for people: what it is called, and its version. */
export const title = (id) => (entry(id) ? `${id} · v${entry(id).version}` : id);

/** Read the models again when an answer was given by a version that the list does not have. */
export function answeredBy(id, version) {
  if (version && entry(id) && entry(id).version !== version) again();
}

function fill(select, place) {
  const before = select.value;
  select.replaceChildren(...listed.map((model) => element("option", { value: model.id }, title(model.id))));
  const known = listed.some((model) => model.id === before);
  if (listed.length) select.value = known ? before : (listed[place] ?? listed[0]).id;
}

function fault(state, models) {
  if (state?.registry) return `The registry does not answer: ${state.registry}`;
  const failed = Object.entries(state?.models ?? {}).find(([, model]) => model.failure);
  if (failed)
    return `${failed[0]} version ${failed[1].failure.version} does not take over: ${failed[1].failure.reason}`;
  return models.length ? "" : "No model answers yet: the first champion appears here by itself.";
}

function changed() {
  byId("second").hidden = !byId("compare").checked;
  dispatchEvent(new Event("models"));
}

for (const id of ["first", "second", "compare"]) byId(id).addEventListener("change", changed);
addEventListener("visibilitychange", () => {
  if (!document.hidden && listed.length) again();
});
