// An answer as it is written: its text as tokens, and a line about who gave it, how long it took and why it ended.

import { explain } from "./alternatives.js";
import { element, problem } from "./dom.js";
import { feedback } from "./feedback.js";
import { Tokens } from "./tokens.js";

const ENDS = { stop: "", length: "cut at max tokens", stopped: "stopped", failed: "" };

export class Answer {
  /** An answer of a model; `named` when others stand beside it. */
  constructor(model, named) {
    this.model = model;
    this.version = null;
    this.id = null; // of the response
    this.failure = "";
    this.#tokens = new Tokens();
    explain(this.#tokens.element, `Answer of ${model}`);
    this.#foot = element("p", { class: "foot" });
    const head = named ? [element("h2", {}, model)] : [];
    this.element = element("article", { class: "answer writing" }, ...head, this.#tokens.element, this.#foot);
  }

  #tokens;
  #foot;
  #began = performance.now();
  #count = 0;
  #reason = "stop";

  get text() {
    return this.#tokens.text;
  }

  /** Take in an event of the stream. */
  add(event) {
    this.id = event.id;
    // lmforge-RECIPE-NUMBER-DIGEST
    this.version = Number(event.system_fingerprint.split("-").at(-2));
    for (const choice of event.choices) {
      const told = choice.logprobs?.content ?? [];
      this.#count += told.length;
      this.#tokens.add(choice.delta.content ?? "", told);
      this.#reason = choice.finish_reason ?? this.#reason;
    }
  }

  /** The answer is all there, or was stopped. */
  end(reason = this.#reason) {
    this.#tokens.end();
    this.element.classList.remove("writing");
    const seconds = ((performance.now() - this.#began) / 1000).toFixed(1);
    const took = this.#count ? `${this.#count} tokens in ${seconds} s` : "";
    const whole = reason === "stop" || reason === "length";
    const empty = whole && !this.text ? "no text" : ""; // or white space alone, which does not show
    const parts = [this.version && `version ${this.version}`, took, ENDS[reason], empty];
    this.#foot.textContent = parts.filter(Boolean).join(" · ");
    if (whole && this.text) this.element.append(...feedback(this.id, this.text));
  }

  /** It ended with an error. */
  fail(message) {
    this.end("failed");
    this.failure = message;
    this.element.append(problem(message));
  }
}
