// The page: signs in, wires what people do to the chat, and draws what the chat tells.

import { Chat, keep, randomId, recall } from "./chat.js";
import { loadSdk } from "./sdk.js";
import { Messages, avatar, personLine, roomButton, typingText } from "./view.js";

const $ = (id) => document.getElementById(id);
const NEAR_END = 80; // pixels from the end within which new messages are followed

let Centrifuge = null;
let addresses = {};
let chat = null;
let toastTimer = 0;
let title = "Chat";

const messages = new Messages($("messages"), {
  retry: (item) => chat.retry(item),
  discard: (item) => chat.discard(item),
});

// What the chat tells, see chat.js.
const ui = {
  entered(me) {
    $("entrance").hidden = true;
    $("chat").hidden = false;
    $("me").querySelector(".avatar").replaceWith(avatar(me.name, me.user));
    $("me").querySelector(".me-name").textContent = me.name;
  },

  left(reason) {
    keep("who", null);
    chat = null;
    $("chat").hidden = true;
    $("entrance").hidden = false;
    document.title = title;
    closeDrawer();
    entranceReady(reason, "bad");
    $("name").focus();
  },

  trouble({ type, error }) {
    console.warn("centrifuge", type, error);
    if (!$("entrance").hidden) say(`The realtime server does not answer (${Object.values(addresses)[0]}). Still trying…`, "bad");
  },

  connection(state, { transport, again }) {
    const pill = $("connection");
    pill.dataset.state = state;
    pill.querySelector(".connection-text").textContent = state === "connected" ? "Connected" : again ? "Reconnecting" : "Connecting";
    pill.title = transport ? `over ${transport.replace("_", " ")}` : "";
    const lost = state === "connecting" && again;
    $("banner").hidden = !lost;
    $("banner").textContent = lost ? "The connection is gone. Trying to get it back; what you write now is sent then." : "";
  },

  rooms() {
    if (!chat) return;
    const open = (room) => () => {
      chat.show(room.id);
      closeDrawer();
    };
    $("rooms").replaceChildren(...[...chat.rooms.values()].map((room) => roomButton(room, chat.current, open(room))));
    const unread = [...chat.rooms.values()].reduce((sum, room) => sum + room.unread, 0);
    document.querySelector(".drawer-button .dot").hidden = unread === 0;
    document.title = `${unread ? `(${unread}) ` : ""}${chat.current ? `${chat.current.title} · ` : ""}${title}`;
  },

  shown(room) {
    $("room-title").textContent = room.title;
    $("leave-room").hidden = chat.joinedIds().length < 2;
    ui.rooms();
    ui.messages(room, true);
    ui.people(room);
    ui.typing(room);
    $("text").placeholder = `Write to ${room.title}`;
    if (matchMedia("(hover: hover)").matches) $("text").focus();
  },

  messages(room, jump = false) {
    if (!chat || room !== chat.current) return;
    const scroller = $("scroller");
    const follow = jump || scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_END || room.items.at(-1)?.state === "waiting";
    const before = messages.list.lastElementChild;
    messages.draw(room);
    if (follow) scroller.scrollTop = scroller.scrollHeight;
    else if (messages.list.lastElementChild !== before) $("to-end").hidden = false;
  },

  people(room) {
    if (!chat || room !== chat.current) return;
    const present = room.present();
    $("people").replaceChildren(...present.map((person) => personLine(person, chat.me)));
    $("room-line").textContent = present.length === 1 ? "1 person here" : `${present.length} people here`;
  },

  typing(room) {
    if (!chat || room !== chat.current) return;
    const text = typingText(room, Date.now());
    $("typing").textContent = text;
    $("typing").classList.toggle("on", text !== "");
  },

  unsent(text) {
    $("text").value = [text, $("text").value].filter(Boolean).join("\n");
    grow();
  },

  toast(text) {
    clearTimeout(toastTimer);
    $("toast").textContent = text;
    $("toast").hidden = false;
    toastTimer = setTimeout(() => ($("toast").hidden = true), 6000);
  },
};

// --- The entrance ---

function say(text, tone = "") {
  $("entrance-status").textContent = text;
  $("entrance-status").className = `entrance-status ${tone}`;
}

function entranceReady(text = "", tone = "") {
  say(text, tone);
  $("sign-in").querySelector("button").disabled = false;
}

function enter(name) {
  const before = recall("who", null);
  const who = { name, session: before?.name === name ? before.session : randomId(16) };
  keep("who", who);
  $("sign-in").querySelector("button").disabled = true;
  say("Signing in…");
  chat = new Chat(Centrifuge, addresses, who, ui);
  chat.start();
}

$("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  const name = $("name").value.trim();
  if (name) enter(name);
  else say("A name is needed.", "bad");
});

// --- The room ---

$("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  const text = $("text").value.trim();
  if (!text || !chat?.current) return;
  chat.say(text);
  $("text").value = "";
  grow();
  $("text").focus();
});

$("text").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("composer").requestSubmit();
});

$("text").addEventListener("input", () => {
  grow();
  if ($("text").value.trim() && chat?.current) chat.typing();
});

function grow() {
  const text = $("text");
  text.style.height = "auto";
  text.style.height = `${Math.min(text.scrollHeight, 180)}px`;
}

$("scroller").addEventListener("scroll", () => {
  const { scrollHeight, scrollTop, clientHeight } = $("scroller");
  if (scrollHeight - scrollTop - clientHeight < NEAR_END) $("to-end").hidden = true;
});

$("to-end").addEventListener("click", () => {
  $("scroller").scrollTop = $("scroller").scrollHeight;
  $("text").focus();
});

$("leave-room").addEventListener("click", () => chat.leave(chat.current));

document.addEventListener("visibilitychange", () => {
  if (document.hidden || !chat?.current) return;
  chat.current.unread = 0;
  ui.rooms();
});

// --- A new room ---

$("open-room").addEventListener("click", () => {
  $("room-name").value = "";
  $("room-dialog").returnValue = "";
  $("room-dialog").showModal();
});

$("room-dialog").addEventListener("close", async () => {
  const wanted = $("room-name").value.trim();
  if ($("room-dialog").returnValue !== "open" || !wanted) return;
  try {
    await chat.open(wanted);
    closeDrawer();
  } catch (error) {
    ui.toast(`No room was opened: ${error.message}`);
  }
});

// --- Drawers of narrow screens, and the menu ---

for (const button of document.querySelectorAll("[data-drawer]")) {
  button.addEventListener("click", () => {
    $("chat").dataset.drawer = button.dataset.drawer;
    $(`${button.dataset.drawer}-panel`).querySelector("button").focus();
  });
}

for (const button of document.querySelectorAll(".close-drawer")) button.addEventListener("click", closeDrawer);

document.addEventListener("keydown", (event) => {
  if (event.key === "Escape") closeDrawer();
});

function closeDrawer() {
  delete $("chat").dataset.drawer;
}

$("menu").addEventListener("toggle", async (event) => {
  if (event.newState !== "open" || !chat) return;
  $("stats").replaceChildren();
  try {
    const { people, rooms, messages: said, took } = await chat.stats();
    const rows = [["People", people], ["Rooms", rooms], ["Messages", said], ["Round trip", `${took.toFixed(1)} ms`]];
    const cell = (tag, text) => Object.assign(document.createElement(tag), { textContent: text });
    $("stats").replaceChildren(...rows.flatMap(([name, value]) => [cell("dt", name), cell("dd", value)]));
  } catch (error) {
    ui.toast(`No figures: ${error.message}`);
  }
});

$("end-others").addEventListener("click", async () => {
  $("menu").hidePopover();
  try {
    const ended = await chat.endOthers();
    ui.toast(ended === 0 ? "You have no other pages." : `${ended} ${ended === 1 ? "page is" : "pages are"} signed out within half a minute.`);
  } catch (error) {
    ui.toast(error.message);
  }
});

$("sign-out").addEventListener("click", () => {
  $("menu").hidePopover();
  chat.stop();
});

// --- The start ---

async function begin() {
  try {
    const { name, ...transports } = await (await fetch("config.json")).json();
    addresses = transports;
    title = `${name[0].toUpperCase()}${name.slice(1)}`;
    for (const element of document.querySelectorAll(".app-name")) element.textContent = title;
    document.title = title;
    if (!Object.keys(addresses).length) throw new Error("The server does not say where its realtime server is: set rtbridge.embedded or rtbridge.public_url.");
    Centrifuge = await loadSdk();
  } catch (error) {
    say(error.message, "bad");
    return;
  }
  const who = recall("who", null);
  entranceReady();
  if (who) {
    $("name").value = who.name;
    enter(who.name);
  } else {
    $("name").focus();
  }
}

begin();
