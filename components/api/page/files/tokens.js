// The text of an answer as its tokens. The text itself is what the server says, never what the tokens add up to: a stop
// text or white space at the end is not shown, though its tokens were drawn.

import { element } from "./dom.js";

const UNLIKELY = 0.01; // the probability from which on the shade is full

export class Tokens {
  text = "";
  element = element("div", { class: "text" });

  #waiting = []; // {told, text}: tokens whose text is not shown yet
  #part = []; // tokens that are bytes of a character to come
  #shown = 0; // characters of `text` in the element
  #decoder = new TextDecoder();

  /** Add text that shows, and tokens in the form of the API: {token, logprob, bytes, top_logprobs}. */
  add(text, told) {
    this.text += text;
    for (const one of told) {
      this.#part.push(one);
      const found = this.#decoder.decode(new Uint8Array(one.bytes), { stream: true });
      if (!found) continue; // a part of a character, or a token without text
      this.#waiting.push({ told: this.#part, text: found });
      this.#part = [];
    }
    this.#show(false);
    if (!told.length && !this.#waiting.length) this.#rest();
  }

  /** Show what is left. */
  end() {
    this.#show(true);
    this.#rest();
  }

  #show(all) {
    while (this.#waiting.length) {
      const [{ told, text }] = this.#waiting;
      const room = this.text.length - this.#shown;
      // The first token of an answer may begin with a space that the text does not have.
      const own = this.#shown === 0 && room && !this.text.startsWith(text[0]) ? text.trimStart() : text;
      if (room === 0 || (own.length > room && !all)) return;
      this.#waiting.shift();
      this.#append(own.slice(0, room), told);
    }
  }

  #append(text, told) {
    if (!text) return;
    const part = element("span", { class: "token" }, this.text.slice(this.#shown, this.#shown + text.length));
    part.told = told;
    const logprob = told.reduce((sum, one) => sum + (one.logprob ?? 0), 0);
    part.style.setProperty("--doubt", `${Math.min(100, Math.round((logprob / Math.log(UNLIKELY)) * 100))}%`);
    this.#shown += text.length;
    this.element.append(part);
  }

  #rest() {
    if (this.#shown < this.text.length) this.element.append(this.text.slice(this.#shown));
    this.#shown = this.text.length;
  }
}
