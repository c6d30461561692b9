// The demo: a host on the embedded default, both reproductions through every exporter over HTTP, signed callbacks received and verified.
// Uses node's own modules alone.
import { spawn } from 'node:child_process';
import { createHmac, timingSafeEqual, randomBytes } from 'node:crypto';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { join, resolve } from 'node:path';

const build = resolve(process.argv[2] ?? 'build');
const out = resolve('out');
const state = join(out, 'state');
const secret = `whsec_${randomBytes(24).toString('base64')}`;
const repros = ['bootstrap-20184', 'search-4711'];
const routes = [['report', { format: 'pdf' }], ['report', { format: 'json' }], ['docker', { archive: 'tar.gz' }], ['docker', { archive: 'tar.zst' }], ['sandbox', { platform: 'stackblitz' }]];

function isSigned(headers, body) {
  const key = Buffer.from(secret.slice('whsec_'.length), 'base64');
  const wanted = createHmac('sha256', key).update(`${headers['webhook-id']}.${headers['webhook-timestamp']}.${body}`).digest();
  return String(headers['webhook-signature']).split(' ').some(part => {
    const given = Buffer.from(part.replace(/^v1,/, ''), 'base64');
    return given.length === wanted.length && timingSafeEqual(given, wanted);
  });
}

const callbacks = new Map();
const receiver = http.createServer((request, response) => {
  let body = '';
  request.on('data', chunk => { body += chunk; });
  request.on('end', () => {
    callbacks.set(JSON.parse(body).jobId, { verified: isSigned(request.headers, body), ...JSON.parse(body) });
    response.end();
  });
});
await new Promise(done => receiver.listen(0, '127.0.0.1', done));

rmSync(out, { recursive: true, force: true });
mkdirSync(state, { recursive: true });
const host = spawn(join(build, 'exportd'), ['serve', '-c', resolve('conf.d')], {
  env: { PATH: process.env.PATH, EXPORTD_HOST_STATE: state, EXPORTD_HTTP_LISTEN: '127.0.0.1:0', EXPORTD_WEBHOOK_SECRET: secret, EXPORTD_WEBHOOK_ALLOW: '127.0.0.1' },
  stdio: ['ignore', 'ignore', 'pipe'],
});
let log = '';
const url = await new Promise((done, fail) => {
  host.stderr.on('data', chunk => {
    log += chunk;
    const ready = /ready at (http:\S+)/.exec(log);
    if (ready) done(ready[1]);
  });
  host.on('exit', code => fail(new Error(`the host ended with code ${code}:\n${log}`)));
  host.on('error', fail);
});
console.log(`host ${url}\n`);

const jobs = [];
for (const name of repros) {
  const repro = JSON.parse(readFileSync(join('tests/data', `${name}.json`), 'utf8'));
  for (const [task, options] of routes) {
    const jobId = [name, task, ...Object.values(options)].join('.');
    const answer = await fetch(`${url}/process`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ jobId, task, callbackUrl: `http://127.0.0.1:${receiver.address().port}/callback`, data: { ...options, repro } }),
    });
    if (answer.status !== 202) throw new Error(`${jobId}: ${answer.status} ${await answer.text()}`);
    jobs.push(jobId);
  }
}

const limit = Date.now() + 60_000;
while (jobs.some(id => !callbacks.has(id)) && Date.now() < limit) await new Promise(done => setTimeout(done, 20));

let failed = 0;
for (const id of jobs) {
  const callback = callbacks.get(id);
  const good = callback?.verified && callback.status === 'completed';
  failed += good ? 0 : 1;
  console.log(`${good ? 'ok  ' : 'FAIL'} ${id}: ${callback ? `${callback.status} in ${callback.duration} ms, signature ${callback.verified ? 'verified' : 'WRONG'}` : 'no callback'}${callback?.error ? `: ${callback.error}` : ''}`);
  for (const artifact of callback?.result?.artifacts ?? []) {
    const bytes = Buffer.from(await (await fetch(artifact.url)).arrayBuffer());
    const file = join(out, `${id.split('.')[0]}-${artifact.name}`);
    writeFileSync(file, bytes);
    console.log(`     ${file} (${bytes.length} bytes)`);
    if (bytes.length !== artifact.bytes) failed++;
  }
}
host.removeAllListeners('exit');
host.kill('SIGTERM');
await new Promise(done => host.on('exit', done));
receiver.close();
if (failed) console.log(`\nthe host's log:\n${log}`);
console.log(failed ? `\n${failed} failed` : `\nall ${jobs.length} jobs done; the files lie in ${out}`);
process.exit(failed ? 1 : 0);
