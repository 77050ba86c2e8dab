// What else could have stood in the place of a token: shown at the pointer, at a tap, and by the arrow keys.

import { bars, percent } from "./bars.js";
import { byId, element, say } from "./dom.js";

const STEPS = { ArrowLeft: -1, ArrowUp: -1, ArrowRight: 1, ArrowDown: 1, Home: -Infinity, End: Infinity };
const GAP = 6; // pixels between a token and its box, and to the edges of the window

let shown = null; // the token whose box is open

/** Let the tokens in an element tell their probabilities. */
export function explain(text, name) {
  text.tabIndex = 0;
  text.setAttribute("role", "group");
  text.setAttribute("aria-label", `${name}. Arrow keys tell the probabilities of its tokens.`);
  text.addEventListener("pointerover", (event) => event.pointerType !== "touch" && show(tokenAt(event)));
  text.addEventListener("pointerleave", (event) => event.pointerType !== "touch" && hide());
  text.addEventListener("click", (event) => show(tokenAt(event)));
  text.addEventListener("keydown", step);
  text.addEventListener("blur", hide);
}

const tokenAt = (event) => event.target.closest(".token");

function step(event) {
  if (event.key === "Escape" && shown) {
    event.stopPropagation(); // it closes the box alone
    return hide();
  }
  const by = STEPS[event.key];
  if (!by) return;
  event.preventDefault();
  const tokens = [...event.currentTarget.querySelectorAll(".token")];
  if (!tokens.length) return;
  const at = tokens.indexOf(shown);
  const to = Math.max(0, Math.min(tokens.length - 1, at < 0 ? (by < 0 ? tokens.length - 1 : 0) : at + by));
  tokens[to].scrollIntoView({ block: "nearest" });
  show(tokens[to]);
  say(tokens[to].told.map(spoken).join(". "));
}

function show(token) {
  if (token === shown) return;
  hide();
  if (!token) return;
  shown = token;
  token.classList.add("shown");
  const box = byId("alternatives");
  box.replaceChildren(...token.told.map(table));
  box.hidden = false;
  place(box, token.getClientRects()[0]);
}

function hide() {
  shown?.classList.remove("shown");
  shown = null;
  byId("alternatives").hidden = true;
}

function place(box, beside) {
  const left = Math.min(beside.left, innerWidth - box.offsetWidth - GAP);
  const below = beside.bottom + GAP;
  const fits = below + box.offsetHeight + GAP <= innerHeight;
  box.style.left = `${Math.max(GAP, left)}px`;
  box.style.top = `${fits ? below : Math.max(GAP, beside.top - box.offsetHeight - GAP)}px`;
}

function rows(told) {
  const others = told.top_logprobs.filter(
    (one) => one.token !== told.token || String(one.bytes) !== String(told.bytes),
  );
  const all = [told, ...others].sort((a, b) => b.logprob - a.logprob);
  return all.map((one) => ({ label: visible(one), share: Math.exp(one.logprob), marked: one === told }));
}

function table(told) {
  const found = rows(told);
  const left = Math.max(0, 1 - found.reduce((sum, row) => sum + row.share, 0));
  return element("div", {}, bars(found), element("p", {}, `all others ${percent(left)}`));
}

function spoken(told) {
  const named = ({ label, share }) => `${label} ${percent(share)}`;
  const all = rows(told);
  return `${named(all.find((row) => row.marked))}; else ${all
    .filter((row) => !row.marked)
    .map(named)
    .join(", ")}`;
}

/** A token with its white space to be seen; bytes that are no whole character as numbers. */
function visible({ token, bytes }) {
  if (token.includes("\ufffd")) return bytes.map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
  return token.replaceAll(" ", "␣").replaceAll("\n", "⏎").replaceAll("\t", "⇥");
}

byId("turns").addEventListener("scroll", () => document.activeElement?.contains(shown) || hide());
addEventListener("pointerdown", (event) => event.target.closest?.(".token") || hide());
addEventListener("hashchange", hide);
