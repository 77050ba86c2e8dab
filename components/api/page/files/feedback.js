// What a user says about an answer, where the server keeps answers: a thumb, or what the answer should have been.

import { post } from "./api.js";
import { element } from "./dom.js";

let kept = false;

/** Whether the server keeps answers, and asks what people think of them. */
export const askForFeedback = (is) => (kept = is);

/** The buttons below an answer, by the id of its response; none where nothing is kept. */
export function feedback(id, text) {
  if (!kept) return [];
  const state = element("span", { role: "status", class: "note" });
  const tell = async (said, thanks) => {
    try {
      await post("v1/feedback", { id, ...said });
      state.textContent = thanks;
    } catch (error) {
      state.textContent = error.message;
    }
  };
  const form = correction(text, tell);
  const thumb = (name, value) =>
    element(
      "button",
      { type: "button", class: "plain", click: () => tell({ thumb: value }, `Kept: ${name.toLowerCase()}`) },
      name,
    );
  const correct = element("button", { type: "button", class: "plain", "aria-expanded": "false" }, "Correct");
  correct.addEventListener("click", () => {
    form.hidden = !form.hidden;
    correct.setAttribute("aria-expanded", String(!form.hidden));
    if (!form.hidden) form.elements.corrected.focus();
  });
  return [element("div", { class: "feedback" }, thumb("Good", "up"), thumb("Bad", "down"), correct, state, form)];
}

function correction(text, tell) {
  const form = element(
    "form",
    { hidden: true },
    element(
      "label",
      {},
      "What the answer should have been ",
      element("textarea", { name: "corrected", rows: 3, required: true }, text),
    ),
    element(
      "label",
      { class: "switch" },
      element("input", { type: "checkbox", name: "consent" }),
      "A model may be trained on it",
    ),
    element("button", {}, "Save"),
  );
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const { corrected, consent } = form.elements;
    tell({ corrected: corrected.value, consent: consent.checked }, "Kept: corrected");
    form.hidden = true;
  });
  return form;
}
