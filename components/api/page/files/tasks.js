// The tasks that a model was trained on, as forms; the chosen models answer side by side.

import { get, post } from "./api.js";
import { bars } from "./bars.js";
import { byId, element, problem } from "./dom.js";
import { chosen, title } from "./models.js";

const SHOWN = 8; // labels; the others are behind a click

let tasks = []; // of the first model
let read = ""; // the model that they are of
let asking = null; // the AbortController of the answers under way

async function refresh() {
  const [model] = chosen();
  const wanted = model && title(model);
  if (byId("tasks").hidden || !model || wanted === read) return;
  read = wanted;
  byId("results").replaceChildren();
  try {
    tasks = (await get(`v1/tasks?model=${encodeURIComponent(model)}`)).data;
  } catch (error) {
    tasks = [];
    read = "";
    byId("results").replaceChildren(problem(error.message));
    return;
  }
  const before = byId("task-name").value;
  byId("task-name").replaceChildren(...tasks.map((task) => element("option", {}, task.name)));
  byId("task").hidden = !tasks.length;
  if (!tasks.length)
    byId("results").replaceChildren(element("p", { class: "hint" }, `${model} was trained on no task.`));
  if (tasks.some((task) => task.name === before)) byId("task-name").value = before;
  else showInputs();
}

const current = () => tasks.find((task) => task.name === byId("task-name").value);

function showInputs() {
  byId("results").replaceChildren();
  byId("inputs").replaceChildren(...(current()?.inputs ?? []).map(field));
}

function field({ name, required, long }) {
  const kind = long ? { rows: 5 } : { rows: 2 };
  const note = required ? "" : " (may be empty)";
  return element("label", {}, `${name}${note} `, element("textarea", { name, required, ...kind }));
}

async function answer(event) {
  event.preventDefault();
  asking?.abort();
  const { signal } = (asking = new AbortController());
  const inputs = Object.fromEntries(new FormData(byId("task")));
  const task = current();
  const results = chosen().map((model) => ({
    model,
    element: element("section", { class: "panel" }, element("h2", {}, title(model))),
  }));
  byId("results").replaceChildren(...results.map((result) => result.element));
  await Promise.all(
    results.map(async (result) => {
      result.element.setAttribute("aria-busy", "true");
      try {
        const found = await post(`v1/tasks/${encodeURIComponent(task.name)}`, { model: result.model, inputs }, signal);
        result.element.append(...shown(found.data[0]));
      } catch (error) {
        if (!signal.aborted) result.element.append(problem(error.message));
      }
      result.element.removeAttribute("aria-busy");
    }),
  );
}

function shown({ label, probabilities, text }) {
  if (label === undefined) return [element("p", { class: "said" }, text || "(nothing)")];
  const sorted = Object.entries(probabilities).sort(([, a], [, b]) => b - a);
  const rows = sorted.map(([name, share]) => ({ label: name, share, marked: name === label }));
  const more = rows.slice(SHOWN);
  const rest = more.length
    ? [element("details", {}, element("summary", {}, `${more.length} more labels`), bars(more))]
    : [];
  return [element("p", { class: "said" }, label), bars(rows.slice(0, SHOWN)), ...rest];
}

byId("task-name").addEventListener("change", showInputs);
byId("task").addEventListener("submit", answer);
addEventListener("models", refresh);
addEventListener("view", refresh);
