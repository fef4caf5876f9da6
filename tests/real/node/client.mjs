// Centrifugo's JavaScript client under remote control: a command is a line of JSON on standard input, what it came to
// and what handlers were called with are lines of JSON on standard output. Bytes travel as {"base64": "..."}.

import { createHash, createHmac } from 'node:crypto';
import { createInterface } from 'node:readline';
import { Centrifuge as JsonCentrifuge } from 'centrifuge';
import { Centrifuge as ProtobufCentrifuge } from 'centrifuge/build/protobuf';
import { EventSource } from 'eventsource';
import WebSocket from 'ws';

const CLIENT_EVENTS = [
  'connecting', 'connected', 'disconnected', 'error', 'message', 'subscribing', 'subscribed', 'unsubscribed',
  'publication', 'join', 'leave',
];
const SUBSCRIPTION_EVENTS = [
  'subscribing', 'subscribed', 'unsubscribed', 'publication', 'join', 'leave', 'error', 'sync', 'update',
];

const clients = new Map();
const subscriptions = new Map();

function outgoing(key, value) {
  // JSON.stringify has called Buffer's toJSON before it gets here, so the holder is asked.
  const original = this[key];
  return original instanceof Uint8Array ? { base64: Buffer.from(original).toString('base64') } : value;
}

function incoming(key, value) {
  return typeof value?.base64 === 'string' ? new Uint8Array(Buffer.from(value.base64, 'base64')) : value;
}

function say(line) {
  process.stdout.write(JSON.stringify(line, outgoing) + '\n');
}

function plain(context) {
  const { error, ...rest } = context;
  return error ? { ...rest, error: { code: error.code, message: error.message, temporary: error.temporary } } : rest;
}

function tell(source, names, origin) {
  for (const name of names) {
    source.on(name, (context) => say({ ...origin, event: name, context: plain(context) }));
  }
}

// A callback that gives these values one after the other; null stands for a user who is turned away.
function giving(values, Centrifuge, origin, event) {
  const left = [...values];
  return async () => {
    say({ ...origin, event, context: {} });
    const value = left.shift();
    if (value === null) {
      throw new Centrifuge.UnauthorizedError('turned away');
    }
    return value;
  };
}

// The permission that an application gives a user to track keys of a shared poll.
function signature(secret, user, channel, keys) {
  const digest = createHash('sha256').update(keys.join('\0')).digest('hex');
  const mac = createHmac('sha256', secret).update(['1', '0', user, channel, digest].join('\0')).digest('hex');
  return `1:0:${mac}`;
}

const subscription = ({ client, channel }) => subscriptions.get(`${client} ${channel}`);

const commands = {
  connect({ client, endpoint, protobuf = false, tokens, options = {} }) {
    const Centrifuge = protobuf ? ProtobufCentrifuge : JsonCentrifuge;
    const own = {
      websocket: WebSocket, eventsource: EventSource, minReconnectDelay: 50, maxReconnectDelay: 500, ...options,
    };
    if (tokens !== undefined) {
      own.getToken = giving(tokens, Centrifuge, { client }, 'token');
    }
    const made = new Centrifuge(endpoint, own);
    clients.set(client, made);
    tell(made, CLIENT_EVENTS, { client });
    made.connect();
  },
  subscribe({ client, channel, kind = 'stream', tokens, states, options = {}, secret, user }) {
    const own = { minResubscribeDelay: 50, maxResubscribeDelay: 500, ...options };
    const source = clients.get(client);
    if (tokens !== undefined) {
      own.getToken = giving(tokens, source.constructor, { client, channel }, 'token');
    }
    if (states !== undefined) {
      own.getState = giving(states, source.constructor, { client, channel }, 'state');
    }
    let made;
    if (kind === 'map') {
      made = source.newMapSubscription(channel, own);
    } else if (kind === 'poll') {
      own.getSignature = async ({ keys }) => ({ keys, signature: signature(secret, user, channel, keys) });
      made = source.newSharedPollSubscription(channel, own);
    } else {
      made = source.newSubscription(channel, own);
    }
    subscriptions.set(`${client} ${channel}`, made);
    tell(made, SUBSCRIPTION_EVENTS, { client, channel });
    made.subscribe();
  },
  resubscribe: (given) => subscription(given).subscribe(),
  unsubscribe: (given) => subscription(given).unsubscribe(),
  setTagsFilter: ({ filter, ...given }) => subscription(given).setTagsFilter(filter),
  deltaStats: (given) => subscription(given).deltaStats(),
  publish: ({ key, data, ...given }) => {
    const target = subscription(given);
    if (target === undefined) {
      return clients.get(given.client).publish(given.channel, data);
    }
    return key === undefined ? target.publish(data) : target.publish(key, data);
  },
  remove: ({ key, ...given }) => subscription(given).remove(key),
  track: ({ keys, ...given }) => subscription(given).track(keys),
  presence: ({ client, channel }) => clients.get(client).presence(channel),
  presenceStats: ({ client, channel }) => clients.get(client).presenceStats(channel),
  history: ({ client, channel, options = {} }) => clients.get(client).history(channel, options),
  rpc: ({ client, method, data }) => clients.get(client).rpc(method, data),
  send: ({ client, data }) => clients.get(client).send(data),
  // All of these calls leave in one frame; what each came to.
  async batch({ client, calls }) {
    clients.get(client).startBatching();
    const answers = calls.map(({ do: name, ...given }) => outcome(name, { client, ...given }));
    clients.get(client).stopBatching();
    return Promise.all(answers);
  },
  disconnect: ({ client }) => clients.get(client).disconnect(),
  // Ends everything that a test has left behind.
  forget() {
    for (const each of [...subscriptions.values(), ...clients.values()]) {
      each.removeAllListeners();
    }
    for (const each of clients.values()) {
      each.disconnect();
    }
    subscriptions.clear();
    clients.clear();
  },
};

// The call itself is made at once: batching collects what is called between its start and its end.
async function outcome(name, given) {
  try {
    return { result: (await commands[name](given)) ?? null };
  } catch (error) {
    return { error: { code: error.code ?? null, message: error.message ?? String(error) } };
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const { id, do: name, ...given } = JSON.parse(line, incoming);
  outcome(name, given).then((answer) => say({ id, ...answer }));
}
process.exit(0);
