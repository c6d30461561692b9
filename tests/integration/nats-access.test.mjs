// NATS servers that ask who calls: credentials, permissions, TLS; and streams and consumers that others made.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { createAccount, createOperator, createUser } from 'nkeys.js';
import { Host, source, startHost, temporaryFolder, until } from '../support/host.mjs';
import { Caller, at, connected, count, missing, ready, startNats } from '../support/nats.mjs';

/** A JWT as NATS has it, signed by an NKey. */
function sign(issuer, subject, name, nats) {
  const encode = value => Buffer.from(JSON.stringify(value)).toString('base64url');
  const claims = { jti: randomUUID(), iat: Math.floor(Date.now() / 1000), iss: issuer.getPublicKey(), name, sub: subject.getPublicKey(), nats: { version: 2, ...nats } };
  const text = `${encode({ typ: 'JWT', alg: 'ed25519-nkey' })}.${encode(claims)}`;
  return `${text}.${Buffer.from(issuer.sign(Buffer.from(text))).toString('base64url')}`;
}

const seedOf = key => Buffer.from(key.getSeed()).toString();

function operatorMode() {
  const operator = createOperator(), account = createAccount(), system = createAccount(), user = createUser(), stranger = createUser();
  const limits = { subs: -1, data: -1, payload: -1, imports: -1, exports: -1, wildcards: true, conn: -1, leaf: -1, mem_storage: -1, disk_storage: -1, streams: -1, consumer: -1 };
  const creds = (jwt, key) => `-----BEGIN NATS USER JWT-----\n${jwt}\n------END NATS USER JWT------\n\n-----BEGIN USER NKEY SEED-----\n${seedOf(key)}\n------END USER NKEY SEED------\n`;
  const jwt = sign(account, user, 'exportd', { type: 'user', subs: -1, data: -1, payload: -1 });
  return {
    conf: `operator: ${sign(operator, operator, 'O', { type: 'operator', system_account: system.getPublicKey() })}\nsystem_account: ${system.getPublicKey()}\nresolver: MEMORY\n`
      + `resolver_preload: {\n ${account.getPublicKey()}: ${sign(operator, account, 'A', { type: 'account', limits })}\n ${system.getPublicKey()}: ${sign(operator, system, 'S', { type: 'account', limits: { ...limits, mem_storage: 0, disk_storage: 0, streams: 0, consumer: 0 } })}\n}\n`,
    right: creds(jwt, user), wrong: creds(jwt, stranger),
  };
}

for (const [kind, make] of Object.entries({
  'user and password': () => ({ conf: 'authorization { user: exporter, password: "opensesame17" }', right: 'user = exporter\npassword = opensesame17', wrong: 'user = exporter\npassword = opensesame18' }),
  'user and password in the URL': () => ({ conf: 'authorization { user: exporter, password: "opensesame17" }', inUrl: ['exporter:opensesame17', 'exporter:opensesame18'] }),
  token: () => ({ conf: 'authorization { token: "opensesame17" }', right: 'token = opensesame17', wrong: 'token = opensesame18' }),
  'token in the URL': () => ({ conf: 'authorization { token: "opensesame17" }', inUrl: ['opensesame17', 'opensesame18'] }),
  NKey: folder => {
    const [right, wrong] = [createUser(), createUser()];
    writeFileSync(join(folder, 'right'), `${seedOf(right)}\n`);
    writeFileSync(join(folder, 'wrong'), seedOf(wrong));
    return { conf: `authorization { users: [ { nkey: ${right.getPublicKey()} } ] }`, right: `nkey_seed = ${join(folder, 'right')}`, wrong: `nkey_seed = ${join(folder, 'wrong')}`, secrets: [seedOf(right), seedOf(wrong)] };
  },
  'creds file': folder => {
    const mode = operatorMode();
    writeFileSync(join(folder, 'right'), mode.right);
    writeFileSync(join(folder, 'wrong'), mode.wrong);
    return { conf: mode.conf, right: `creds_file = ${join(folder, 'right')}`, wrong: `creds_file = ${join(folder, 'wrong')}`, secrets: [mode.right.split('\n')[1]] };
  },
})) {
  test(`credentials: ${kind}`, async t => {
    const { conf, right, wrong, inUrl, secrets = ['opensesame'] } = make(temporaryFolder(t));
    const server = await startNats(t, { conf });
    const options = (lines, who) => at({ url: `nats://${who ? `${who}@` : ''}127.0.0.1:${server.port}` }, { nats: `${lines ?? ''}\n` });
    const good = await startHost(t, options(right, inUrl?.[0]));
    await ready(good);
    assert.equal(await good.metric('exportd_nats_jetstream'), 1);
    const bad = await startHost(t, options(wrong, inUrl?.[1]));
    await until(async () => /not connected: .*(authorization|authentication)/i.test(await missing(bad)), 'the refusal');
    await until(() => count(server.log, /authentication error/i) > 2 || count(server.log, 'uthentication') > 2, 'further attempts');
    assert.equal(count(bad.log, 'no connection to'), 1);
    await good.stop();
    await bad.stop();
    for (const secret of secrets)
      for (const host of [good, bad]) assert.ok(!host.log.includes(secret), host.log);
  });
}

test('the permissions that docs/nats.md lists are enough', async t => {
  const text = readFileSync(join(source, 'docs/nats.md'), 'utf8').replaceAll('\n', ' ');
  const [, publish, subscribe, make] = /needs: publish to (.*?); subscribe to (.*?) \(without.*?publish to (.*?)\.\s*$/.exec(text);
  const names = part => [...part.matchAll(/`(.*?)`/g)].map(([, name]) => `"${name}"`).join(', ');
  const conf = more => `authorization { users: [ { user: open, password: open }, { user: exporter, password: tight, permissions: { publish: [${names(publish + more)}], subscribe: [${names(subscribe)}] } } ] }`;
  const server = await startNats(t, { conf: conf(make) });
  const caller = await Caller.connect(t, server.url, { user: 'open', pass: 'open' });
  const host = await connected(t, at(server, { nats: 'user = exporter\npassword = tight\n' }));
  await caller.answer(caller.request('noop').export_id);
  await server.restart({ conf: conf('') }); // streams and consumer are there by now
  await ready(host);
  await caller.back();
  await caller.answer(caller.request('noop').export_id);
  assert.doesNotMatch(host.log, /complains/);
});

test('a credential file that isn\'t there or holds no seed is refused at the start', async t => {
  const folder = temporaryFolder(t);
  writeFileSync(join(folder, 'empty'), 'nothing');
  for (const [lines, message] of [
    [`nkey_seed = ${folder}/none`, /nkey_seed: .*none: No such file/],
    [`nkey_seed = ${folder}/empty`, /empty holds no user's NKey seed/],
    [`creds_file = ${folder}/none`, /creds_file: .*none can't be read/],
    [`ca_file = ${folder}/none`, /ca_file: .*none can't be read/],
    [`certificate_file = ${folder}/empty`, /belong together/],
  ]) {
    const host = new Host(t, { plugins: ['noop'], conf: { 'nats.conf': `[nats]\nurl = nats://127.0.0.1:1\n${lines}\n` } });
    await assert.rejects(host.start(), error => message.test(error.message), lines);
  }
});

function certificates(t) {
  const folder = temporaryFolder(t);
  const openssl = (...args) => execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  const path = name => join(folder, name);
  for (const authority of ['ca', 'other']) {
    openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${authority}.key`, '-out', `${authority}.pem`, '-days', '2', '-subj', `/CN=${authority}`);
  }
  for (const [name, alternative] of [['server', 'IP:127.0.0.1,DNS:localhost'], ['elsewhere', 'DNS:elsewhere.example'], ['client', 'DNS:exportd']]) {
    openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', `${name}.key`, '-out', `${name}.csr`, '-subj', `/CN=${name}`);
    writeFileSync(path(`${name}.ext`), `subjectAltName=${alternative}\n`);
    openssl('x509', '-req', '-in', `${name}.csr`, '-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', `${name}.ext`, '-out', `${name}.pem`);
  }
  execFileSync('chmod', ['-R', 'a+rX', folder]);
  return path;
}

test('TLS: the right authority, the wrong one, another name, a certificate of its own', async t => {
  const path = certificates(t);
  const tls = (name, more = '') => ({ conf: `tls { cert_file: "${path(`${name}.pem`)}", key_file: "${path(`${name}.key`)}", timeout: 5 ${more} }` });
  const server = await startNats(t, tls('server'));
  const options = (lines, scheme = 'tls') => at({ url: `${scheme}://127.0.0.1:${server.port}` }, { nats: `${lines}\n` });
  const good = await startHost(t, options(`ca_file = ${path('ca.pem')}`));
  await ready(good);
  const caller = await Caller.connect(t, `tls://127.0.0.1:${server.port}`, { tls: { caFile: path('ca.pem') } });
  const big = Array.from({ length: 300 }, () => caller.request('noop', { note: 'x'.repeat(5000) }));
  for (const { export_id: id } of big) assert.equal((await caller.answer(id)).subject, 'export.completed');
  const strict = await startHost(t, options(`ca_file = ${path('other.pem')}`));
  await until(async () => /not connected: .*(certificate|SSL)/i.test(await missing(strict)), 'the refusal of an unknown authority');
  await strict.stop();
  await good.stop();

  await server.restart(tls('elsewhere'));
  const named = await startHost(t, options(`ca_file = ${path('ca.pem')}`));
  await until(async () => /not connected: .*(name|IP|mismatch)/i.test(await missing(named)), 'the refusal of another name');
  await named.stop();

  await server.restart(tls('server', `, ca_file: "${path('ca.pem')}", verify: true`));
  const mutual = await startHost(t, options(`ca_file = ${path('ca.pem')}\ncertificate_file = ${path('client.pem')}\nkey_file = ${path('client.key')}`));
  await ready(mutual);
  await mutual.stop();

  await server.restart({ conf: '' });
  const plain = await startHost(t, options('tls = yes', 'nats'));
  await until(async () => /not connected: .*secure/i.test(await missing(plain)), 'the refusal of a server without TLS');
});

test('streams that others made are used as they are', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  const manager = await caller.manager();
  await manager.streams.add({ name: 'EVERYTHING', subjects: ['export.>'], storage: 'file' });
  await manager.streams.add({ name: 'TASKS', subjects: ['task.request'], storage: 'memory', retention: 'workqueue' });
  const host = await connected(t, at(server));
  const { export_id: id } = caller.request('noop');
  assert.equal((await caller.answer(id)).subject, 'export.completed');
  caller.publish('task.request', { jobId: 'one', task: 'noop' });
  assert.equal((await caller.answer('one')).subject, 'task.completed');
  assert.equal((await manager.consumers.info('EVERYTHING', 'exportd')).config.filter_subject, 'export.request');
  assert.ok(await manager.consumers.info('TASKS', 'exportd-tasks'));
  await assert.rejects(manager.streams.info('EXPORTD'));
  assert.deepEqual((await manager.streams.info('EXPORTD_ANSWERS')).config.subjects, ['task.completed', 'task.failed']);
  assert.equal(await host.metric('exportd_nats_requests_total'), 2, 'answers aren\'t taken for requests');
  await until(async () => (await host.metric('exportd_nats_answers_total')) === 2, 'the confirmations');
});

test('a consumer of that name that is of no use is told with the mend, and used when it is gone', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  const manager = await caller.manager();
  await manager.streams.add({ name: 'EXPORTD', subjects: ['export.request', 'task.request'], retention: 'workqueue' });
  await manager.consumers.add('EXPORTD', { durable_name: 'exportd', ack_policy: 'explicit', deliver_subject: 'somewhere' });
  const host = await startHost(t, at(server));
  await until(async () => /consumer exportd of the stream EXPORTD is of no use: it pushes.*nats consumer rm EXPORTD exportd/.test(await missing(host)), 'the complaint');
  assert.equal(count(host.log, 'is of no use'), 1);
  const { export_id: id } = caller.request('noop');
  await manager.consumers.delete('EXPORTD', 'exportd');
  await ready(host);
  assert.equal((await caller.answer(id)).subject, 'export.completed');
  // Deleted while it is in use: it is made again.
  await manager.consumers.delete('EXPORTD', 'exportd');
  const second = caller.request('noop');
  assert.equal((await caller.answer(second.export_id)).subject, 'export.completed');
});

test('answers = (empty) makes no stream, and answers arrive all the same', async t => {
  const server = await startNats(t);
  const caller = await Caller.connect(t, server.url);
  const host = await connected(t, at(server, { nats: 'answers =\n' }));
  const requests = Array.from({ length: 50 }, () => caller.request('noop'));
  for (const { export_id: id } of requests) assert.equal((await caller.answer(id)).subject, 'export.completed');
  await until(async () => (await host.metric('exportd_nats_answers_total')) === 50, 'the confirmations');
  const names = await (await caller.manager()).streams.names().next();
  assert.deepEqual(names, ['EXPORTD']);
  assert.equal(await host.metric('exportd_nats_answers_waiting'), 0);
});
