// A worker that is told to stop, started as the host starts it: over a socket pair, by the frames of host/worker/wire.h.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { afterwards, build, ownEnvironment, patience, pluginFolder, temporaryFolder, until } from '../support/host.mjs';

const CONFIGURE = 1, START = 2, READY = 3, RESULT = 7;

function frame(type, lease, text) {
  const payload = Buffer.from(text), header = Buffer.alloc(16);
  header.writeUInt32LE(payload.length, 0);
  header.writeUInt32LE(type, 4);
  header.writeBigUInt64LE(BigInt(lease), 8);
  return Buffer.concat([header, payload]);
}

/** A struct wire_start, its texts, and no data. */
function job(id, route) {
  const head = Buffer.alloc(32);
  head.writeBigUInt64LE(1n, 0); // turn
  head.writeInt32LE(1, 12); // attempt
  head.writeUInt32LE(id.length, 16);
  head.writeUInt32LE(route.length, 20);
  return Buffer.concat([head, Buffer.from(`${id}\0${route}\0\0{}`)]);
}

/** A worker with the tests' plugin misbehave, which has said that it is ready. */
async function startWorker(t, env = {}) {
  const folder = temporaryFolder(t);
  const plugins = pluginFolder(folder, ['misbehave']);
  const child = spawn(join(build, 'exportd-worker'), [String(process.pid), 'misbehave'], { stdio: ['ignore', 'inherit', 'pipe', 'pipe'],
    env: { ...ownEnvironment(), ASAN_OPTIONS: 'verify_asan_link_order=0', ...env } });
  const worker = { child, frames: [], said: '', bytes: Buffer.alloc(0) };
  const exit = new Promise(done => child.on('exit', (code, signal) => done({ code, signal })));
  afterwards(t, () => child.kill('SIGKILL'));
  child.stderr.on('data', chunk => { worker.said += chunk; });
  child.stdio[3].on('error', () => { /* it has gone */ });
  child.stdio[3].on('data', chunk => {
    worker.bytes = Buffer.concat([worker.bytes, chunk]);
    while (worker.bytes.length >= 16 && worker.bytes.length >= 16 + worker.bytes.readUInt32LE(0)) {
      const length = worker.bytes.readUInt32LE(0);
      worker.frames.push({ type: worker.bytes.readUInt32LE(4), text: worker.bytes.subarray(16, 16 + length).toString() });
      worker.bytes = worker.bytes.subarray(16 + length);
    }
  });
  worker.send = (type, lease, text) => child.stdio[3].write(frame(type, lease, text));
  worker.exited = () => Promise.race([exit, new Promise((_, fail) => setTimeout(() => fail(new Error(`the worker still runs\n${worker.said}`)), patience / 3).unref())]);
  worker.start = task => worker.send(START, 1, job('1', task));
  worker.send(CONFIGURE, 0, JSON.stringify({ plugin: join(plugins, 'misbehave.so'), options: {}, secrets: {}, read: [], workspace: folder, network: false, exec: false, memory: 512 * 1024 * 1024, file: 1 << 30, sandbox: false }));
  await until(() => worker.frames.length > 0 || child.exitCode !== null, 'its first word');
  assert.equal(worker.frames[0]?.type, READY, worker.frames[0]?.text ?? worker.said);
  return worker;
}

/** A configuration is received in one piece; so is a job. */
const preloaded = receive => ({ LD_PRELOAD: join(build, 'tools/stop-before-wait.so'), STOP_BEFORE_WAIT: String(receive) });

test('a worker that is told to stop just before it waits for its first job ends', async t => {
  const worker = await startWorker(t, preloaded(2));
  assert.deepEqual(await worker.exited(), { code: 0, signal: null });
});

test('a worker that is told to stop just before it waits for its next job ends', async t => {
  const worker = await startWorker(t, preloaded(3));
  worker.start('echo');
  assert.deepEqual(await worker.exited(), { code: 0, signal: null });
  assert.ok(worker.frames.some(({ type }) => type === RESULT), 'its job is done');
});

test('a worker that waits and is told to stop ends', async t => {
  const worker = await startWorker(t);
  worker.child.kill('SIGTERM');
  assert.deepEqual(await worker.exited(), { code: 0, signal: null });
});

test('a worker that is told to stop while a job runs says how that ended, and ends', async t => {
  const worker = await startWorker(t);
  worker.start('obey_cancel');
  await until(() => worker.frames.length > 1, 'the first word of its job');
  worker.child.kill('SIGTERM');
  assert.deepEqual(await worker.exited(), { code: 0, signal: null });
  assert.ok(worker.frames.some(({ type }) => type === RESULT), JSON.stringify(worker.frames));
});
