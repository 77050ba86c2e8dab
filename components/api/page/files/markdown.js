// The Markdown of model cards as elements: headings, paragraphs, lists, tables, code. Whatever else stands there, HTML
// included, shows as the text that it is.

import { element } from "./dom.js";

const FRONT = /^---\n[^]*?\n---\n/; // the facts for the Hugging Face hub
const BLOCKS = [
  [/^```[^\n]*\n([^]*?)\n```\s*(?:\n|$)/, (code) => element("pre", { tabindex: "0" }, code)],
  [
    /^(#{1,6}) +([^\n]+)(?:\n|$)/,
    (marks, text, level) => element(`h${Math.min(6, marks.length + level)}`, {}, ...inline(text)),
  ],
  [/^((?:\|[^\n]*(?:\n|$))+)/, (text) => table(text)],
  [/^((?:[-*] [^\n]*(?:\n[ \t]+[^\n]+)*(?:\n|$))+)/, (text) => list(text)],
  [/^((?:(?!```|#{1,6} |\||[-*] )[^\n]+(?:\n|$))+)/, (text) => element("p", {}, ...inline(text))],
  [/^([^\n]+)(?:\n|$)/, (text) => element("p", {}, ...inline(text))],
];

/** The elements of a text; its greatest heading stands `level` levels below h1. */
export function markdown(text, level) {
  const made = [];
  let left = text.replaceAll("\r\n", "\n").replace(FRONT, "").trim();
  while (left) {
    const [found, make] = BLOCKS.map(([pattern, make]) => [left.match(pattern), make]).find(([match]) => match);
    made.push(make(...found.slice(1), level));
    left = left.slice(found[0].length).replace(/^\n+/, "");
  }
  return made;
}

function table(text) {
  const lines = text.trim().split("\n").map(cells);
  const numbers = (lines[1] ?? []).map((cell) => /-:$/.test(cell));
  const row = (name) => (found) =>
    element(
      "tr",
      {},
      ...found.map((cell, at) => element(name, { class: numbers[at] ? "number" : null }, ...inline(cell))),
    );
  const parts = [element("thead", {}, row("th")(lines[0])), element("tbody", {}, ...lines.slice(2).map(row("td")))];
  return element(
    "div",
    { class: "scroll", tabindex: "0", role: "region", "aria-label": lines[0].join(", ") },
    element("table", {}, ...parts),
  );
}

const cells = (line) =>
  line
    .trim()
    .replace(/^\||\|$/g, "")
    .split("|")
    .map((cell) => cell.trim());

const list = (text) =>
  element(
    "ul",
    {},
    ...text
      .trim()
      .split(/\n(?=[-*] )/)
      .map((item) => element("li", {}, ...inline(item.slice(2)))),
  );

function inline(text) {
  return text
    .trim()
    .split(/(`[^`]+`|\*\*[^*]+\*\*)/)
    .map((part, at) => {
      if (at % 2 === 0) return part; // what stands between the marked parts
      if (part.startsWith("`")) return element("code", {}, part.slice(1, -1));
      return element("strong", {}, part.slice(2, -2));
    });
}
