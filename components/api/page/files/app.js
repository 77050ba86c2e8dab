// The beginning: the views by the hash of the address, the API key, and the first look at the models.

import "./cards.js";
import "./chat.js";
import "./tasks.js";
import { key, setKey } from "./api.js";
import { byId, notice } from "./dom.js";
import { refresh } from "./models.js";

const VIEWS = ["chat", "tasks", "model"];

function show() {
  const wanted = location.hash.slice(1);
  const view = VIEWS.includes(wanted) ? wanted : "chat";
  for (const name of VIEWS) byId(name).hidden = name !== view;
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  dispatchEvent(new Event("view"));
}

async function look() {
  try {
    await refresh();
    byId("change-key").hidden = !key();
  } catch (error) {
    notice(error.message);
  }
}

function askForKey() {
  byId("key").hidden = false;
  byId("key-text").focus();
}

byId("key").addEventListener("submit", (event) => {
  event.preventDefault();
  setKey(byId("key-text").value.trim());
  byId("key-text").value = "";
  byId("key").hidden = true;
  look();
});
byId("change-key").addEventListener("click", askForKey);
addEventListener("key-needed", askForKey);
addEventListener("hashchange", show);
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  location.hash = "chat";
  byId("prompt").focus();
});
show();
look();
