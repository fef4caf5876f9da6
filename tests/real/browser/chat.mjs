// The sample chat in Chromium: `node chat.mjs SCENARIO '{"page": ..., ...}'` prints what was seen as JSON.

import { readFileSync } from 'node:fs';
import { connect, createServer } from 'node:net';
import { join } from 'node:path';
import { chromium } from 'playwright-core';

const FLAGS = [
  '--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking',
  '--disable-component-update', '--disable-sync', '--disable-dev-shm-usage',
];
const BOUND = 20_000; // no wait is longer; none depends on how long anything takes
const DESKTOP = { viewport: { width: 1280, height: 800 } };
const PHONE = { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true, colorScheme: 'dark' };

const [scenario, given] = process.argv.slice(2);
const { chromium: executablePath, page: address, upstream, proxy, shots, sdk } = JSON.parse(given);

// A cable between the pages and the realtime server that can be pulled out.
class Cable {
  constructor() {
    this.sockets = [];
    this.out = false;
    this.server = createServer((near) => {
      if (this.out) {
        near.destroy();
        return;
      }
      const far = connect(upstream, '127.0.0.1');
      this.sockets.push(near);
      for (const [one, other] of [[near, far], [far, near]]) {
        one.on('data', (data) => other.write(data));
        one.on('error', () => {});
        one.on('close', () => other.destroy());
      }
    });
  }

  plugIn() {
    return new Promise((resolve) => this.server.listen(proxy, '127.0.0.1', resolve));
  }

  pull(since) {
    this.out = true;
    for (const socket of this.sockets.slice(since)) socket.destroy();
  }

  close() {
    for (const socket of this.sockets) socket.destroy();
    this.server.close();
  }
}

let browser;

async function open(options, prepare = async () => {}) {
  const context = await browser.newContext(options);
  context.setDefaultTimeout(BOUND);
  const page = await context.newPage();
  page.faults = [];
  page.on('pageerror', (error) => page.faults.push(String(error)));
  page.on('console', (message) => {
    if (message.type() === 'error') page.faults.push(message.text());
  });
  await prepare(page);
  await page.goto(address);
  return page;
}

async function signIn(page, name) {
  await page.getByLabel('Your name').fill(name);
  await page.getByRole('button', { name: 'Come in' }).click();
  await page.locator('#connection[data-state=connected]').waitFor();
  await page.locator('.person', { hasText: name }).waitFor({ state: 'attached' });
}

async function say(page, text) {
  await page.getByLabel('Message', { exact: true }).fill(text);
  await page.getByRole('button', { name: 'Send' }).click();
}

const message = (page, text, more = '') => page.locator(`.message${more} .words`, { hasText: text }).first();
const texts = (page, selector) => page.locator(selector).allTextContents();
const shoot = (page, name) => page.screenshot({ path: join(shots, `${name}.png`), animations: 'disabled' });

const scenarios = {
  // Two people talk; the network of one is gone for three seconds.
  async conversation() {
    const cable = new Cable();
    await cable.plugIn();
    const ann = await open(DESKTOP);
    await shoot(ann, 'entrance');
    await signIn(ann, 'Ann');
    const anns = cable.sockets.length;
    const bob = await open(PHONE);
    await signIn(bob, 'Bob');
    await ann.locator('.person', { hasText: 'Bob' }).waitFor();
    const people = await texts(ann, '.person-name');

    await say(ann, 'Hello Bob, is the train on time?');
    await message(bob, 'is the train on time?').waitFor();
    await bob.getByLabel('Message', { exact: true }).pressSequentially('It is, but');
    await ann.locator('#typing.on').waitFor();
    const typing = await ann.locator('#typing').textContent();
    await say(bob, 'It is, but here comes the tunnel.');
    await message(ann, 'here comes the tunnel').waitFor();
    const calm = { ann: [...ann.faults], bob: [...bob.faults] };

    cable.pull(anns);
    await bob.locator('#connection[data-state=connecting]').waitFor();
    await say(ann, 'Then you will miss this.');
    await say(ann, 'And this: https://centrifugal.dev/docs/server/history_and_recovery');
    await say(ann, 'And that tomatoes want sun.');
    await say(bob, 'I write this in the dark.');
    await message(bob, 'in the dark', '.waiting').waitFor();
    const banner = await bob.locator('#banner').textContent();
    await shoot(bob, 'phone-away');
    await new Promise((resolve) => setTimeout(resolve, 3000));
    const missedWhileAway = await message(bob, 'tomatoes').count();
    cable.out = false;

    await bob.locator('#connection[data-state=connected]').waitFor();
    await bob.locator('.note.away').waitFor();
    await message(bob, 'tomatoes', '.caught').waitFor();
    await message(bob, 'in the dark', '.sent').waitFor();
    await message(ann, 'in the dark').waitFor();
    await say(ann, 'Welcome back!');
    await message(bob, 'Welcome back!').waitFor();
    await shoot(ann, 'desktop');
    await shoot(bob, 'phone');
    const seen = {
      people,
      typing,
      calm,
      banner,
      missedWhileAway,
      note: await bob.locator('.note.away').textContent(),
      bob: await texts(bob, '.message .words'),
      ann: await texts(ann, '.message .words'),
      bannerGone: await bob.locator('#banner').isHidden(),
    };
    cable.close();
    return seen;
  },

  // A room is opened and heard of, and one of two pages of the same person is signed out.
  async rooms() {
    const cable = new Cable();
    await cable.plugIn();
    const ann = await open({ ...DESKTOP, colorScheme: 'dark' });
    await signIn(ann, 'Ann');
    const other = await open(DESKTOP);
    await signIn(other, 'Ann');
    const bob = await open(DESKTOP);
    await signIn(bob, 'Bob');
    await ann.locator('.person small', { hasText: '2 pages' }).waitFor();
    const people = await texts(ann, '.person');

    await ann.getByRole('button', { name: 'Open a new room' }).click();
    await ann.getByLabel('What is it about?').fill('Gardening');
    await shoot(ann, 'new-room');
    await ann.getByRole('button', { name: 'Open it' }).click();
    await ann.getByRole('heading', { name: 'Gardening' }).waitFor();
    await other.locator('.room-button', { hasText: 'Gardening' }).waitFor();
    await say(bob, 'Still in the lobby?');
    await ann.locator('.room-button', { hasText: 'Lobby' }).locator('.badge').waitFor();
    const title = await ann.title();
    await ann.locator('#me').click();
    await ann.locator('#stats dd').first().waitFor();
    const stats = await texts(ann, '#stats dt');
    await shoot(ann, 'menu');
    await ann.getByRole('button', { name: 'Sign out my other pages' }).click();
    await ann.locator('#toast').waitFor();
    const toast = await ann.locator('#toast').textContent();
    await other.getByLabel('Message', { exact: true }).fill('One more thing'); // that somebody types is told, too
    await other.locator('#entrance').waitFor();
    const seen = {
      people,
      title,
      stats,
      toast,
      status: await other.locator('#entrance-status').textContent(),
      here: await ann.locator('#chat').isVisible(),
      faults: [ann, other, bob].flatMap((page) => page.faults),
    };
    cable.close();
    return seen;
  },

  // Where the client comes from: beside the page, from the CDN, from nowhere.
  async sdk() {
    const cable = new Cable();
    await cable.plugIn();
    const bytes = readFileSync(sdk);
    const from = (body) => async (page) => {
      await page.route('**/vendor/centrifuge.js', (route) => route.fulfill({ status: 404, body: 'Not Found' }));
      await page.route(/^https:/, (route) => {
        if (body === null) return route.abort();
        return route.fulfill({ body, contentType: 'application/javascript', headers: { 'access-control-allow-origin': '*' } });
      });
    };
    const cdn = await open(DESKTOP, from(bytes));
    await signIn(cdn, 'Ann');
    const scripts = await cdn.locator('script[src*=centrifuge]').evaluateAll((all) => all.map((each) => each.src));
    const refused = [];
    for (const body of [Buffer.concat([bytes, Buffer.from(' ')]), null]) {
      const page = await open(DESKTOP, from(body));
      await page.locator('#entrance-status.bad').waitFor();
      refused.push([await page.locator('#entrance-status').textContent(), await page.getByRole('button', { name: 'Come in' }).isDisabled()]);
    }
    cable.close();
    return { scripts, refused };
  },
};

browser = await chromium.launch({ executablePath, headless: true, args: FLAGS });
try {
  console.log(JSON.stringify(await scenarios[scenario]()));
} finally {
  await browser.close();
}
