// Elements made from text: nothing here, nor anywhere on this page, reads text as HTML.

/** The element of the page with this id. */
export const byId = (id) => document.getElementById(id);

/** An element with attributes (`class` and others; true, false and functions as listeners) and children. */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === "function") made.addEventListener(key, value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value != null) made.setAttribute(key, value);
  }
  made.append(...children);
  return made;
}

/** A paragraph about what went wrong. */
export const problem = (message) => element("p", { class: "problem", role: "alert" }, message);

/** Say something to those who hear the page instead of seeing it. */
export function say(text) {
  byId("said").textContent = text;
}

/** Show what went wrong in one line above everything; an empty text takes it away. */
export function notice(text) {
  byId("notice").textContent = text;
  byId("notice").hidden = !text;
}
