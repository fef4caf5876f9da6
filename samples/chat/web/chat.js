// The connection: signing in, rooms, and what happens in them. `ui` is told what has changed and draws it.

import { Room } from "./room.js";

const HISTORY = 100;
const TYPING_EVERY = 2500;
const TYPING_FOR = 4000;
const GONE_AFTER = 4000; // somebody who reloads the page has not left
const NEWS = "news:rooms";

export class Chat {
  constructor(Centrifuge, addresses, who, ui) {
    this.ui = ui;
    this.me = null;
    this.rooms = new Map();
    this.current = null;
    this.state = "connecting";
    this.wasConnected = false;
    this.typedAt = 0;
    this.remembered = recall("rooms", ["lobby"]);
    const transports = ["websocket", "http_stream", "sse"]
      .filter((name) => name in addresses)
      .map((name) => ({ transport: name, endpoint: addresses[name] }));
    this.client = new Centrifuge(transports, {
      data: { name: who.name, session: who.session },
      emulationEndpoint: addresses.emulation ?? "",
      maxReconnectDelay: 5000,
    });
    this.client.on("connecting", () => this.changed("connecting"));
    this.client.on("connected", (context) => this.connected(context));
    this.client.on("disconnected", (context) => this.disconnected(context));
    this.client.on("error", (context) => this.ui.trouble(context));
    this.client.on("publication", (context) => {
      if (context.channel === NEWS) this.heard(context.data);
    });
  }

  start() {
    this.client.connect();
  }

  stop() {
    this.client.disconnect();
  }

  changed(state, transport = "") {
    this.state = state;
    this.ui.connection(state, { transport, again: this.wasConnected });
  }

  async connected({ data, transport }) {
    this.me = data;
    this.changed("connected", transport);
    const first = !this.wasConnected;
    this.wasConnected = true;
    if (first) this.ui.entered(this.me);
    try {
      for (const room of (await this.client.rpc("rooms.list", null)).data) this.know(room);
    } catch (error) {
      this.ui.toast(error.message);
      return;
    }
    if (first) {
      const known = this.remembered.filter((id) => this.rooms.has(id));
      for (const id of known.length ? known : [...this.rooms.keys()].slice(0, 1)) this.join(id);
      this.show(this.rooms.has(recall("room", "")) ? recall("room", "") : this.joinedIds()[0]);
    }
    this.ui.rooms();
  }

  disconnected({ code, reason }) {
    this.state = "disconnected";
    this.ui.left(code === 0 ? "" : reason || `The server closed the connection (${code}).`);
  }

  // --- Rooms ---

  know(data) {
    const room = this.rooms.get(data.id) ?? new Room(data);
    const fresh = !this.rooms.has(data.id);
    this.rooms.set(data.id, room);
    return fresh;
  }

  heard(data) {
    if (this.know(data)) {
      this.ui.rooms();
      this.ui.toast(`There is a new room: ${data.title}`);
    }
  }

  joinedIds() {
    return [...this.rooms.values()].filter((room) => room.joined).map((room) => room.id);
  }

  show(id) {
    const room = this.rooms.get(id);
    if (!room) return;
    if (!room.joined) this.join(id);
    this.current = room;
    room.unread = 0;
    keep("room", id);
    this.ui.shown(room);
  }

  async open(title) {
    const room = (await this.client.rpc("rooms.create", { title })).data;
    if (this.know(room)) this.client.publish(NEWS, { id: room.id }).catch(() => {}); // they see it when they come back, too
    this.show(room.id);
  }

  join(id) {
    const room = this.rooms.get(id);
    const subscription = this.client.newSubscription(room.channel);
    room.subscription = subscription;
    subscription.on("subscribing", ({ code }) => {
      if (code !== 0 && room.lostAt === null) room.lostAt = Date.now();
    });
    subscription.on("subscribed", (context) => this.subscribed(room, context));
    subscription.on("unsubscribed", ({ code, reason }) => {
      if (code !== 0 && this.state !== "disconnected") this.lost(room, reason);
    });
    subscription.on("publication", (context) => this.published(room, context));
    subscription.on("join", ({ info }) => this.joins(room, info));
    subscription.on("leave", ({ info }) => this.leaves(room, info));
    subscription.subscribe();
    keep("rooms", this.joinedIds());
  }

  leave(room) {
    const { subscription } = room;
    room.subscription = null;
    subscription.unsubscribe();
    this.client.removeSubscription(subscription);
    this.rooms.set(room.id, new Room(room));
    keep("rooms", this.joinedIds());
    if (room === this.current) this.show(this.joinedIds()[0] ?? [...this.rooms.keys()].find((id) => id !== room.id));
    else this.ui.rooms();
  }

  // The room is gone, or closed to us; what waited to be sent there goes back to where it was written.
  lost(room, reason) {
    const unsent = room.items.filter((item) => item.state === "waiting").map((item) => item.text);
    this.leave(room);
    this.rooms.delete(room.id);
    this.ui.rooms();
    if (unsent.length) this.ui.unsent(unsent.join("\n"));
    this.ui.toast(`${room.title}: ${reason}`);
  }

  subscribed(room, { wasRecovering, recovered }) {
    const away = room.lostAt === null ? 0 : Date.now() - room.lostAt;
    room.lostAt = null;
    if (wasRecovering && recovered) {
      // What was missed comes right after this event, before any microtask.
      room.catching = { count: 0, note: room.note("", "away") };
      queueMicrotask(() => this.caughtUp(room, away));
    } else {
      if (wasRecovering) {
        room.note("You were away for longer than the server remembers. What is below may have gaps.", "warn");
        room.begin();
      }
      this.readHistory(room);
    }
    this.readPresence(room);
    this.flush(room);
  }

  caughtUp(room, away) {
    const { count, note } = room.catching;
    room.catching = null;
    const what = count === 0 ? "Nothing was missed." : `${count} ${count === 1 ? "message" : "messages"} caught up.`;
    note.text = `You were away for ${duration(away)}. ${what}`;
    this.ui.messages(room);
  }

  async readHistory(room) {
    try {
      const { publications } = await room.subscription.history({ limit: HISTORY, reverse: true });
      for (const { data, offset } of publications) this.take(room, data, offset);
      this.ui.messages(room);
    } catch (error) {
      if (error.code >= 100) this.ui.toast(`No history: ${error.message}`);
    }
  }

  async readPresence(room) {
    try {
      const { clients } = await room.subscription.presence();
      room.people = new Map(Object.entries(clients).map(([client, info]) => [client, personOf(info)]));
      this.ui.people(room);
    } catch (error) {
      if (error.code >= 100) this.ui.toast(`Nobody knows who is here: ${error.message}`);
    }
  }

  // --- What happens in a room ---

  published(room, { data, offset }) {
    if (data.kind === "typing") {
      if (data.user === this.me.user) return;
      room.writing.set(data.user, { name: data.name, until: Date.now() + TYPING_FOR });
      setTimeout(() => this.ui.typing(room), TYPING_FOR + 50);
      this.ui.typing(room);
      return;
    }
    if (room.catching !== null) room.catching.count += 1;
    const item = this.take(room, data, offset);
    if (item !== null && !item.mine) {
      item.caught = room.catching !== null;
      if (room !== this.current || document.hidden) room.unread += 1;
      this.ui.rooms();
    }
    this.ui.messages(room);
    this.ui.typing(room);
  }

  take(room, data, offset) {
    return data.kind === "say" ? room.said(data, offset, data.user === this.me.user) : null;
  }

  joins(room, info) {
    const person = personOf(info);
    if (room.enter(info.client, person) && person.user !== this.me.user && !room.leaving.delete(person.user)) {
      room.note(`${person.name} came in`);
      this.ui.messages(room);
    }
    this.ui.people(room);
  }

  leaves(room, info) {
    const person = room.exit(info.client);
    this.ui.people(room);
    if (person === null || person.user === this.me.user) return;
    room.leaving.add(person.user);
    setTimeout(() => {
      if (!room.leaving.delete(person.user) || room.has(person.user)) return;
      room.note(`${person.name} left`);
      this.ui.messages(room);
    }, GONE_AFTER);
  }

  // --- What we say ---

  say(text) {
    const room = this.current;
    room.draft(this.me, randomId(12), text);
    this.typedAt = 0;
    this.ui.messages(room);
    this.flush(room);
  }

  // Sends what waits, one after the other. A message whose fate is unknown is sent again under its id after the next
  // subscribe, and the server publishes it once.
  async flush(room) {
    if (room.sending) return;
    room.sending = true;
    for (let item = room.waiting(); item && room.subscription?.state === "subscribed"; item = room.waiting()) {
      try {
        await room.subscription.publish({ kind: "say", id: item.id, text: item.text });
        if (item.state === "waiting") item.state = "sent";
      } catch (error) {
        if (error.code < 100 && room.subscription?.state !== "subscribed") break;
        Object.assign(item, { state: "failed", why: error.message });
      }
      this.ui.messages(room);
    }
    room.sending = false;
  }

  retry(item) {
    item.state = "waiting";
    this.ui.messages(this.current);
    this.flush(this.current);
  }

  discard(item) {
    this.current.forget(item);
    this.ui.messages(this.current);
  }

  typing() {
    const { subscription } = this.current;
    if (Date.now() - this.typedAt < TYPING_EVERY || subscription?.state !== "subscribed") return;
    this.typedAt = Date.now();
    subscription.publish({ kind: "typing" }).catch(() => {}); // nobody misses one
  }

  // --- Calls ---

  async stats() {
    const started = performance.now();
    const { data } = await this.client.rpc("stats", null);
    return { ...data, took: performance.now() - started };
  }

  async endOthers() {
    return (await this.client.rpc("sessions.end_others", null)).data.ended;
  }
}

// Text of a span of time, in milliseconds.
export function duration(span) {
  const seconds = Math.max(1, Math.round(span / 1000));
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 60 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

// Works on plain http, too, where crypto.randomUUID does not exist.
export function randomId(bytes) {
  return Array.from(crypto.getRandomValues(new Uint8Array(bytes)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

// What this tab remembers when it is loaded again.
export function recall(key, otherwise) {
  try {
    return JSON.parse(sessionStorage.getItem(`chat.${key}`)) ?? otherwise;
  } catch {
    return otherwise;
  }
}

export function keep(key, value) {
  try {
    if (value === null) sessionStorage.removeItem(`chat.${key}`);
    else sessionStorage.setItem(`chat.${key}`, JSON.stringify(value));
  } catch {
    // Private windows of some browsers store nothing; the page then forgets.
  }
}

function personOf(info) {
  return { user: info.user, name: info.connInfo?.name ?? info.user };
}
