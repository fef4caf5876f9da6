// Draws a room into the page. Text of people is only ever set as text.

const GROUPED_WITHIN = 5 * 60_000;
const LINK = /https?:\/\/[^\s<>"]+[^\s<>".,;:!?)\]}'”]/g;
const EMOJI = /^(?:\p{Extended_Pictographic}[\p{Emoji_Modifier}\uFE0F\u200D]*){1,3}$/u;

const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
const calendar = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });

export function el(tag, properties = {}, ...children) {
  const { dataset = {}, ...own } = properties;
  const element = Object.assign(document.createElement(tag), own);
  Object.assign(element.dataset, dataset);
  element.append(...children.filter((child) => child !== null));
  return element;
}

export function avatar(name, user) {
  const words = name.split(" ").filter(Boolean);
  const initials = (words.length > 1 ? [words[0], words.at(-1)] : words).map((word) => [...word][0]).join("");
  const element = el("span", { className: "avatar", textContent: initials.toUpperCase() });
  element.setAttribute("aria-hidden", "true");
  element.style.setProperty("--hue", hue(user));
  return element;
}

export function hue(user) {
  let hash = 7;
  for (const character of user) hash = (hash * 31 + character.codePointAt(0)) % 3600;
  return String(hash % 360);
}

// Keeps the nodes of what stays, so that a screen reader hears only what is new.
export function place(parent, wanted) {
  const keep = new Set(wanted);
  for (const child of [...parent.children]) if (!keep.has(child)) child.remove();
  wanted.forEach((node, index) => {
    if (parent.children[index] !== node) parent.insertBefore(node, parent.children[index] ?? null);
  });
}

export class Messages {
  constructor(list, actions) {
    this.list = list;
    this.actions = actions;
    this.room = null;
    this.nodes = new Map(); // key → {node, drawn}
  }

  draw(room) {
    if (room !== this.room) {
      this.room = room;
      this.nodes.clear();
      this.list.replaceChildren();
    }
    const wanted = [];
    let before = null;
    let day = "";
    for (const item of room.items) {
      if (item.type === "say" && item.at.toDateString() !== day) {
        day = item.at.toDateString();
        wanted.push(this.node({ key: `day/${day}`, drawn: day }, () => dayLine(item.at)));
        before = null;
      }
      const first = !(before?.type === "say" && item.type === "say" && before.user === item.user && item.at - before.at < GROUPED_WITHIN);
      const drawn = item.type === "say" ? `${item.state}|${first}|${item.text}|${item.why ?? ""}` : item.text;
      wanted.push(this.node({ key: item.key, drawn }, () => (item.type === "say" ? this.message(item, first) : noteLine(item))));
      before = item;
    }
    if (!wanted.length) wanted.push(this.node({ key: "empty", drawn: "" }, () => el("li", { className: "empty", textContent: "Nobody has said anything here yet." })));
    place(this.list, wanted);
    const used = new Set(wanted);
    for (const [key, { node }] of this.nodes) if (!used.has(node)) this.nodes.delete(key);
  }

  node({ key, drawn }, make) {
    const known = this.nodes.get(key);
    if (known?.drawn === drawn) return known.node;
    const node = make();
    if (known) node.classList.add("redrawn"); // it came in once already
    this.nodes.set(key, { node, drawn });
    return node;
  }

  message(item, first) {
    const classes = ["message", item.state, first && "first", item.mine && "mine", item.caught && "caught", EMOJI.test(item.text) && "jumbo"];
    const text = el("p", { className: "words" }, ...linked(item.text));
    const time = el("time", { dateTime: item.at.toISOString(), textContent: clock.format(item.at) });
    const head = el("p", { className: "head" }, el("b", { textContent: item.mine ? "You" : item.name }), time);
    const bubble = el("div", { className: "bubble" }, head, text);
    if (item.state === "waiting") bubble.append(el("p", { className: "fate", textContent: "Waiting to be sent" }));
    if (item.state === "failed") {
      bubble.append(
        el("p", { className: "fate bad" }, `Not sent: ${item.why} `,
          el("button", { type: "button", textContent: "Try again", onclick: () => this.actions.retry(item) }), " ",
          el("button", { type: "button", textContent: "Discard", onclick: () => this.actions.discard(item) })),
      );
    }
    const node = el("li", { className: classes.filter(Boolean).join(" ") }, avatar(item.name, item.user), bubble);
    node.style.setProperty("--hue", hue(item.user));
    return node;
  }
}

function dayLine(date) {
  return el("li", { className: "day" }, el("span", { textContent: calendar.format(date) }));
}

function noteLine(item) {
  return el("li", { className: `note ${item.tone}` }, el("span", { textContent: item.text }));
}

function linked(text) {
  const parts = [];
  let end = 0;
  for (const match of text.matchAll(LINK)) {
    parts.push(text.slice(end, match.index));
    parts.push(el("a", { href: match[0], textContent: match[0], target: "_blank", rel: "noopener noreferrer nofollow" }));
    end = match.index + match[0].length;
  }
  parts.push(text.slice(end));
  return parts;
}

export function roomButton(room, current, onclick) {
  const button = el("button", { type: "button", className: "room-button", onclick }, el("span", { className: "hash", textContent: "#" }), el("span", { className: "room-text", textContent: room.title }));
  button.querySelector(".hash").setAttribute("aria-hidden", "true");
  button.classList.toggle("joined", room.joined);
  if (room === current) button.setAttribute("aria-current", "page");
  if (room.unread) {
    button.append(el("span", { className: "badge", textContent: room.unread > 99 ? "99+" : String(room.unread), title: `${room.unread} unread` }));
  }
  return el("li", {}, button);
}

export function personLine(person, me) {
  const name = el("span", { className: "person-name", textContent: person.name, title: person.name });
  const more = [person.user === me.user && "you", person.pages > 1 && `${person.pages} pages`].filter(Boolean);
  return el("li", { className: "person" }, avatar(person.name, person.user), name, el("small", { textContent: more.join(", ") }));
}

// “Ann is writing”, of those whose time has not passed.
export function typingText(room, now) {
  const names = [...room.writing.values()].filter(({ until }) => until > now).map(({ name }) => name);
  if (names.length === 0) return "";
  if (names.length === 1) return `${names[0]} is writing`;
  if (names.length === 2) return `${names[0]} and ${names[1]} are writing`;
  return "Several people are writing";
}
