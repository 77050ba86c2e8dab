// What the chosen versions are: how the gate judged them, what became of them, and their model cards.

import { get } from "./api.js";
import { byId, element, problem } from "./dom.js";
import { markdown } from "./markdown.js";
import { chosen, title } from "./models.js";

const GROUPS = {
  gain: "Is it better?",
  floors: "Is it good enough?",
  losses: "What gets worse?",
  safety: "Is it safe?",
  cost: "What does it cost?",
  lineage: "Where does it come from?",
};
const VERDICTS = { holds: "good", fails: "bad", "not judged": "none" };

let read = ""; // the models that are shown

async function refresh() {
  const wanted = chosen().map(title).join("\n");
  if (byId("model").hidden || !wanted || wanted === read) return;
  read = wanted;
  const columns = await Promise.all(chosen().map(column));
  if (read === wanted) byId("cards").replaceChildren(...columns);
}

async function column(model) {
  try {
    const found = await get(`v1/models/${encodeURIComponent(model)}/card`);
    return element(
      "article",
      { class: "panel" },
      ...facts(found),
      ...decision(found.decision),
      ...history(found.history),
      ...markdown(found.card, 2),
    );
  } catch (error) {
    read = "";
    return element("article", { class: "panel" }, element("h2", {}, model), problem(error.message));
  }
}

function facts({ id, version, digest, created, defaults }) {
  const usual = Object.entries(defaults ?? {}).map(([name, value]) => `${name.replaceAll("_", " ")} ${value}`);
  const rows = [
    ["version", String(version)],
    ["registered", new Date(created * 1000).toLocaleString()],
    ["digest", digest],
    ["defaults", usual.join(" · ")],
  ];
  const shown = rows
    .filter(([, value]) => value)
    .flatMap(([name, value]) => [element("dt", {}, name), element("dd", {}, value)]);
  return [element("h2", {}, id), element("dl", {}, ...shown)];
}

function decision(found) {
  if (!found) return [element("h3", {}, "Decision"), element("p", {}, "The gate has not judged this version.")];
  const against = found.against === null ? "the floors, as there was no champion" : `version ${found.against}`;
  const groups = Object.keys(GROUPS).map((group) => [
    GROUPS[group],
    found.rules.filter((rule) => rule.group === group),
  ]);
  return [
    element("h3", {}, "Decision"),
    element("p", { class: `verdict ${found.promote ? "good" : "bad"}` }, found.reason),
    element("p", { class: "note" }, `${day(found.time)}, against ${against}`),
    ...groups.filter(([, rules]) => rules.length).map(([name, rules]) => group(name, rules)),
  ];
}

function group(name, rules) {
  const failed = rules.filter((rule) => rule.verdict === "fails").length;
  const held = rules.filter((rule) => rule.verdict === "holds").length;
  const counts = [
    failed && `${failed} fail`,
    held && `${held} hold`,
    rules.length - failed - held && `${rules.length - failed - held} not judged`,
  ];
  const head = element(
    "tr",
    {},
    ...["Rule", "Figure", "Interval", "Condition", "Verdict"].map((text) => element("th", { scope: "col" }, text)),
  );
  return element(
    "details",
    { open: failed > 0 },
    element("summary", {}, `${name} `, element("span", { class: "note" }, counts.filter(Boolean).join(", "))),
    element(
      "div",
      { class: "scroll", tabindex: "0", role: "region", "aria-label": name },
      element("table", {}, element("thead", {}, head), element("tbody", {}, ...rules.map(row))),
    ),
  );
}

function row({ name, figure, needs, verdict }) {
  const number = (value) => value.toFixed(4);
  return element(
    "tr",
    {},
    element("td", {}, name),
    element("td", { class: "number" }, figure ? number(figure.value) : ""),
    element("td", { class: "number" }, figure ? `${number(figure.low)} to ${number(figure.high)}` : ""),
    element("td", { class: "needs" }, needs),
    element("td", { class: VERDICTS[verdict] }, verdict),
  );
}

function history(entries) {
  if (!entries.length) return [];
  const lines = entries.map(({ time, kind, version, from, by, reason }) => {
    const instead = from ? ` in place of version ${from}` : "";
    return element("li", {}, `${day(time)}: ${kind} of version ${version}${instead} by ${by}: ${reason}`);
  });
  return [element("h3", {}, "History"), element("ul", {}, ...lines)];
}

const day = (time) => new Date(time).toLocaleString();

addEventListener("models", refresh);
addEventListener("view", refresh);
