// Centrifugo's JavaScript client under remote control: a command is a line of JSON on standard input, what it came to
// and what handlers were called with are lines of JSON on standard output. Bytes travel as {"base64": "..."}.

import { createHash, createHmac } from 'node:crypto';
import { createInterface } from 'node:readline';
import { Centrifuge as JsonCentrifuge } from 'centrifuge';
import { Centrifuge as ProtobufCentrifuge } from 'centrifuge/build/protobuf';
import WebSocket from 'ws';

const CLIENT_EVENTS = ['connecting', 'connected', 'disconnected', 'error', 'subscribed', 'unsubscribed', 'publication'];
const SUBSCRIPTION_EVENTS = [
  'subscribing', 'subscribed', 'unsubscribed', 'publication', 'error', 'sync', 'update',
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

// The permission that an application gives a user to track keys of a shared poll.
function signature(secret, user, channel, keys) {
  const digest = createHash('sha256').update(keys.join('\0')).digest('hex');
  const mac = createHmac('sha256', secret).update(['1', '0', user, channel, digest].join('\0')).digest('hex');
  return `1:0:${mac}`;
}

const commands = {
  connect({ client, endpoint, protobuf = false, options = {} }) {
    const Centrifuge = protobuf ? ProtobufCentrifuge : JsonCentrifuge;
    const made = new Centrifuge(endpoint, {
      websocket: WebSocket, minReconnectDelay: 50, maxReconnectDelay: 500, ...options,
    });
    clients.set(client, made);
    tell(made, CLIENT_EVENTS, { client });
    made.connect();
  },
  subscribe({ client, channel, kind = 'stream', options = {}, secret, user }) {
    const own = { minResubscribeDelay: 50, maxResubscribeDelay: 500, ...options };
    const source = clients.get(client);
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
  unsubscribe: ({ client, channel }) => subscriptions.get(`${client} ${channel}`).unsubscribe(),
  publish: ({ client, channel, key, data }) => {
    const target = subscriptions.get(`${client} ${channel}`);
    return key === undefined ? target.publish(data) : target.publish(key, data);
  },
  remove: ({ client, channel, key }) => subscriptions.get(`${client} ${channel}`).remove(key),
  track: ({ client, channel, keys }) => subscriptions.get(`${client} ${channel}`).track(keys),
  rpc: ({ client, method, data }) => clients.get(client).rpc(method, data),
  disconnect: ({ client }) => clients.get(client).disconnect(),
};

for await (const line of createInterface({ input: process.stdin })) {
  const { id, do: name, ...given } = JSON.parse(line, incoming);
  Promise.resolve()
    .then(() => commands[name](given))
    .then(
      (result) => say({ id, result: result ?? null }),
      (error) => say({ id, error: { code: error.code ?? null, message: error.message ?? String(error) } }),
    );
}
process.exit(0);
