// One room: what was said, who is here, who is writing, and what waits to be sent. No network and no page in here.

const NOW = Number.MAX_SAFE_INTEGER;

export class Room {
  constructor({ id, title }) {
    this.id = id;
    this.title = title;
    this.channel = `chat:${id}`;
    this.subscription = null;
    this.items = []; // in the order in which they are shown
    this.unread = 0;
    this.people = new Map(); // client id → {user, name}
    this.writing = new Map(); // user → {name, until}
    this.lostAt = null; // when the subscription was interrupted
    this.leaving = new Set(); // users whose last page has just gone
    this.catching = null; // while a recovery is read: how many publications it brought, and the line that says so
    this.sending = false;
    this.era = 0; // goes up when the stream of the channel is another one
    this.top = 0; // offset of the newest publication that was seen
    this.count = 0;
  }

  get joined() {
    return this.subscription !== null;
  }

  // A message from the server. It takes the place of one that waited to be sent.
  said(data, offset, mine) {
    const key = `${data.user}/${data.id}`;
    let item = this.items.find((each) => each.key === key);
    const fresh = item === undefined;
    if (fresh) {
      item = { type: "say", key, era: this.era, count: ++this.count };
      this.items.push(item);
    }
    const waited = item.state === "waiting" || item.state === "failed" || item.offset === NOW;
    Object.assign(item, { id: data.id, user: data.user, name: data.name, text: data.text, at: new Date(data.at), mine, state: "sent" });
    if (fresh || waited) Object.assign(item, { era: this.era, offset });
    this.top = Math.max(this.top, offset);
    this.writing.delete(data.user);
    this.sort();
    return fresh ? item : null;
  }

  // A message that is still to be sent.
  draft(me, id, text) {
    const item = { type: "say", key: `${me.user}/${id}`, id, user: me.user, name: me.name, text, at: new Date(), mine: true, state: "waiting" };
    this.items.push(Object.assign(item, { era: NOW, offset: NOW, count: ++this.count }));
    return item;
  }

  // A line that is no message, where the conversation is now.
  note(text, tone = "quiet") {
    const count = ++this.count;
    const item = { type: "note", key: `note/${count}`, text, tone, at: new Date(), era: this.era, offset: this.top, count };
    this.items.push(item);
    this.sort();
    return item;
  }

  // The channel's stream begins anew: offsets start again, and what is shown stays above.
  begin() {
    this.era += 1;
    this.top = 0;
  }

  forget(item) {
    this.items = this.items.filter((each) => each !== item);
  }

  waiting() {
    return this.items.find((item) => item.state === "waiting");
  }

  enter(client, person) {
    const known = this.has(person.user);
    this.people.set(client, person);
    return !known;
  }

  exit(client) {
    const person = this.people.get(client);
    this.people.delete(client);
    return person !== undefined && !this.has(person.user) ? person : null;
  }

  has(user) {
    return [...this.people.values()].some((person) => person.user === user);
  }

  // Everybody once, with the number of their pages.
  present() {
    const found = new Map();
    for (const { user, name } of this.people.values()) {
      const person = found.get(user) ?? { user, name, pages: 0 };
      person.pages += 1;
      found.set(user, person);
    }
    return [...found.values()].sort((a, b) => a.name.localeCompare(b.name));
  }

  sort() {
    this.items.sort((a, b) => a.era - b.era || a.offset - b.offset || a.count - b.count);
  }
}
