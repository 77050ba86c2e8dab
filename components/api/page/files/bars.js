// Probabilities as bars.

import { element } from "./dom.js";

/** A list of bars; each is {label, share, marked}. */
export function bars(rows) {
  return element("ul", { class: "bars" }, ...rows.map(bar));
}

function bar({ label, share, marked }) {
  const track = element("span", { class: "track", "aria-hidden": "true" }, element("span", {}));
  track.firstChild.style.width = `${share * 100}%`;
  return element(
    "li",
    { class: marked ? "marked" : null },
    element("span", { class: "label" }, label),
    track,
    element("span", { class: "share" }, percent(share)),
  );
}

/** A probability for people. */
export function percent(share) {
  if (share > 0 && share < 0.0005) return "<0.1%";
  return `${(share * 100).toFixed(1)}%`;
}
