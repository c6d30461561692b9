// A real nats-server, and an independent client (npm "nats") that publishes requests and hears answers.
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { connect, headers } from 'nats';
import { afterwards, startHost, until } from './host.mjs';
import { Server, freePort } from './servers.mjs';

export class Nats extends Server {
  constructor(t) { super(t, 'nobody'); }

  /** conf: further lines of its settings. jetstream: on by default. */
  async start({ jetstream = true, conf = '' } = this.settings ?? {}) {
    this.settings = { jetstream, conf };
    this.port ??= await freePort();
    const path = join(this.folder, 'server.conf');
    writeFileSync(path, `listen: 127.0.0.1:${this.port}\n${jetstream ? `jetstream { store_dir: "${join(this.folder, 'js')}" }\n` : ''}${conf}\n`, { mode: 0o644 });
    const mark = this.log.length;
    this.launch('/usr/sbin/nats-server', ['-c', path]);
    await until(() => {
      if (this.child.over) throw new Error(`nats-server did not start:\n${this.log}`);
      return this.log.slice(mark).includes('Server is ready');
    }, 'the start of nats-server');
    return this;
  }

  get url() { return `nats://127.0.0.1:${this.port}`; }

  stop() { return this.signal('SIGTERM'); }

  async restart(settings) {
    await this.kill();
    await this.start(settings);
  }
}

export function startNats(t, settings) { return new Nats(t).start(settings); }

/** A caller: what it heard is in messages, [{subject, id, text, json}]. options: for the client. */
export class Caller {
  static async connect(t, url, options = {}) {
    const caller = new Caller();
    caller.messages = [];
    caller.client = await connect({ servers: url, maxReconnectAttempts: -1, reconnectTimeWait: 50, ...options });
    afterwards(t, () => caller.client.close());
    for (const subject of ['export.completed', 'export.failed', 'export.progress', 'task.completed', 'task.failed'])
      caller.client.subscribe(subject, { callback: (_, message) => caller.hear(message) });
    await caller.client.flush();
    return caller;
  }

  hear(message) {
    const text = message.string();
    let json;
    try { json = JSON.parse(text); } catch { /* not JSON */ }
    this.messages.push({ subject: message.subject, id: message.headers?.get('Nats-Msg-Id'), text, json });
  }

  /** body: an object, a text or bytes. */
  publish(subject, body, id) {
    const options = {};
    if (id) {
      options.headers = headers();
      options.headers.set('Nats-Msg-Id', id);
    }
    this.client.publish(subject, body instanceof Uint8Array || typeof body === 'string' ? body : JSON.stringify(body), options);
  }

  /** Publishes the contract's request, and returns it. */
  request(type, members = {}) {
    const request = { export_id: randomUUID(), repro_id: randomUUID(), export_type: type, options: {}, ...members };
    this.publish('export.request', request);
    return request;
  }

  answers(id) {
    return this.messages.filter(({ subject, json }) => subject !== 'export.progress' && (json?.export_id === id || json?.jobId === id));
  }

  /** The first answer to a request or of a task, as {subject, id, json}. */
  answer(id, limitMs) {
    return until(() => this.answers(id)[0], `the answer to ${id}`, limitMs);
  }

  /** Waits until the client has found its server again. */
  back() {
    return until(async () => {
      try { return await this.client.rtt() || true; } catch { return false; }
    }, 'the caller\'s connection');
  }

  async manager() { return this.client.jetstreamManager(); }
}

const plugins = ['noop', 'misbehave'];

/** A host's options that reach this server; nats: further lines of [nats]. */
export function at(server, options = {}) {
  const { nats = '', ...rest } = options;
  return { plugins, ...rest, conf: { 'nats.conf': `[nats]\nurl = ${server.url}\n${nats}`, ...options.conf } };
}

/** What /readyz says that NATS lacks: lines, or ''. */
export const missing = async host => (await host.get('/readyz')).json.missing.filter(text => text.startsWith('nats: ')).join('\n');

/** Waits until the host takes requests. */
export const ready = host => until(async () => await missing(host) === '', 'the connection to NATS');

/** Starts a host and waits until it takes requests. */
export async function connected(t, options) {
  const host = await startHost(t, options);
  await ready(host);
  return host;
}

/** How often text has what. */
export const count = (text, what) => text.split(what).length - 1;
