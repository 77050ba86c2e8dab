// The conversation: each message goes to every chosen model, and each model remembers its own answers.

import { Answer } from "./answer.js";
import { get, stream } from "./api.js";
import { byId, element, say } from "./dom.js";
import { answeredBy, chosen } from "./models.js";
import { asked, showDefaults, system } from "./settings.js";

const HINT =
  "Point at a word of an answer, tap it, or reach it by the arrow keys: " +
  "it shows how probable it was, and what else could have stood there.";
const ALTERNATIVES = 5; // told with each token
const NEAR = 80; // pixels from the end of the conversation within which it follows the answer

const turns = []; // {prompt, answers}: those of the models at that time, by their place
const labels = new Set(); // the models that answer with labels, which have no probabilities of tokens
let reading = Promise.resolve(); // of what the chosen models are
let stopping = null; // the AbortController of the answers under way

async function ask(prompt) {
  const options = asked();
  if (!options) return;
  const models = chosen();
  const answers = models.map((model) => new Answer(model, models.length > 1));
  const before = models.map((_, place) => messages(place));
  turns.push({ prompt, answers });
  byId("turns").querySelector(".hint")?.remove();
  const parts = answers.map((answer) => answer.element);
  byId("turns").append(
    element(
      "section",
      { class: "turn" },
      element("p", { class: "asked" }, prompt),
      element("div", { class: "answers" }, ...parts),
    ),
  );
  byId("turns").scrollTop = byId("turns").scrollHeight;
  stopping = new AbortController();
  working(true);
  await Promise.all(
    answers.map((answer, place) =>
      write(
        answer,
        { ...options, messages: [...system(), ...before[place], { role: "user", content: prompt }] },
        stopping.signal,
      ),
    ),
  );
  stopping = null;
  working(false);
  say(answers.map((answer) => `${answer.model}: ${answer.text || answer.failure}`).join("\n"));
}

async function write(answer, body, signal) {
  await reading;
  const told = labels.has(answer.model) ? {} : { logprobs: true, top_logprobs: ALTERNATIVES };
  try {
    for await (const event of stream(
      "v1/chat/completions",
      { model: answer.model, stream: true, ...told, ...body },
      signal,
    )) {
      const follows = atEnd();
      answer.add(event);
      if (follows) byId("turns").scrollTop = byId("turns").scrollHeight;
    }
    answer.end();
  } catch (error) {
    if (signal.aborted) answer.end("stopped");
    else answer.fail(error.message);
  }
  answeredBy(answer.model, answer.version);
}

/** What was said so far to the model in this place, without what it failed to answer. */
function messages(place) {
  const said = turns.map(({ prompt, answers }) => [prompt, answers[Math.min(place, answers.length - 1)]]);
  return said
    .filter(([, answer]) => answer.text)
    .flatMap(([prompt, answer]) => [
      { role: "user", content: prompt },
      { role: "assistant", content: answer.text },
    ]);
}

function working(is) {
  byId("send").hidden = is;
  byId("stop").hidden = !is;
  byId("turns").setAttribute("aria-busy", is);
}

function atEnd() {
  const { scrollHeight, scrollTop, clientHeight } = byId("turns");
  return scrollHeight - scrollTop - clientHeight < NEAR;
}

function clear() {
  stopping?.abort();
  turns.length = 0;
  byId("turns").replaceChildren(element("p", { class: "hint" }, HINT));
  byId("prompt").focus();
}

function submit(event) {
  event.preventDefault();
  const prompt = byId("prompt").value.trim();
  if (!prompt || stopping || !chosen().length) return;
  byId("prompt").value = "";
  grow();
  ask(prompt);
}

function grow() {
  const field = byId("prompt");
  field.style.height = "auto";
  field.style.height = `${field.scrollHeight}px`;
}

async function readCard(model) {
  const found = await get(`v1/models/${encodeURIComponent(model)}/card`).catch(() => null);
  if (!found) return; // a request to it will say why
  if (found.defaults) labels.delete(model);
  else labels.add(model);
  if (model === chosen()[0]) showDefaults(found.defaults);
}

byId("ask").addEventListener("submit", submit);
byId("stop").addEventListener("click", () => {
  stopping.abort();
  byId("prompt").focus();
});
byId("clear").addEventListener("click", clear);
byId("prompt").addEventListener("input", grow);
byId("prompt").addEventListener("keydown", (event) => {
  // Where a finger writes, Enter is a new line; where signs are composed of several keys, Enter ends one.
  const sends = event.key === "Enter" && !event.shiftKey && !event.isComposing && matchMedia("(hover: hover)").matches;
  if (sends) submit(event);
});
addEventListener("keydown", (event) => {
  if (event.key === "Escape") stopping?.abort();
});
addEventListener("models", () => (reading = Promise.all(chosen().map(readCard))));
clear();
