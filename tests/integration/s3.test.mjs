// Artifacts in a bucket: a real Swift with its S3 door takes them, and the AWS SDK or plain HTTP reads them back.
import { after, before, test } from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import { join } from 'node:path';
import { CreateBucketCommand, GetObjectCommand, HeadObjectCommand, ListMultipartUploadsCommand, ListObjectsV2Command, S3Client } from '@aws-sdk/client-s3';
import { afterwards, Host, patience, run, sanitized, startHost, temporaryFolder, until, confFolder, pluginFolder } from '../support/host.mjs';
import { startRelay } from '../support/relay.mjs';
import { Swift, accessKey, freePorts, readerKey, readerSecret, secretKey } from '../support/swift.mjs';

const MB = 1 << 20;
const bucket = 'artifacts';
let swift, s3;

before(async () => {
  swift = new Swift();
  await swift.start();
  s3 = new S3Client({
    endpoint: swift.endpoint, region: 'us-east-1', forcePathStyle: true, credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
    requestChecksumCalculation: 'WHEN_REQUIRED', responseChecksumValidation: 'WHEN_REQUIRED',
  });
  await s3.send(new CreateBucketCommand({ Bucket: bucket }));
});

after(async () => {
  s3?.destroy();
  await swift?.stop();
});

function withBucket(options = {}) {
  const s3Lines = Object.entries({ bucket, endpoint: swift.endpoint, access_key: accessKey, secret_key: secretKey, ...options.s3 })
    .map(([key, value]) => `${key} = ${value}\n`).join('');
  return { plugins: ['misbehave'], ...options, conf: { 's3.conf': `[s3]\n${s3Lines}`, ...options.conf } };
}

/** A host with the bucket. At the end, nothing that it printed may hold a secret or a signature. */
async function startWithBucket(t, options = {}) {
  const host = new Host(t, withBucket(options));
  afterwards(t, () => {
    for (const secret of [options.s3?.secret_key ?? secretKey, 'Signature=', 'AWS4'])
      assert.ok(!host.log.includes(secret), `the log holds ${secret}:\n${host.log}`);
  });
  return host.start();
}

/** What the plugin writes into a file: each 8-byte word is its own place divided by 8. */
function contentOf(bytes) {
  const words = new BigUint64Array(Math.ceil(bytes / 8));
  for (let i = 0; i < words.length; i++) words[i] = BigInt(i);
  return Buffer.from(words.buffer).subarray(0, bytes);
}

const sha256 = bytes => createHash('sha256').update(bytes).digest('hex');
const leave = (...files) => ({ task: 'leave_files', data: { files: files.map(([name, bytes, more]) => ({ name, bytes, media_type: 'text/plain', ...more })) } });

async function readBack(key) {
  const object = await s3.send(new GetObjectCommand({ Bucket: bucket, Key: key }));
  return { ...object, bytes: Buffer.from(await object.Body.transformToByteArray()) };
}

async function keysBelow(prefix) {
  const { Contents = [] } = await s3.send(new ListObjectsV2Command({ Bucket: bucket, Prefix: prefix }));
  return Contents.map(object => object.Key);
}

async function openUploads(prefix) {
  const { Uploads = [] } = await s3.send(new ListMultipartUploadsCommand({ Bucket: bucket, Prefix: prefix }));
  return Uploads.map(upload => upload.Key);
}

const localCopies = host => readdirSync(join(host.state, 'artifacts'));
const isPart = seen => seen.method === 'PUT' && seen.url.includes('partNumber=');
const partNumber = seen => Number(/partNumber=(\d+)/.exec(seen.url)[1]);
const isComplete = seen => seen.method === 'POST' && seen.url.includes('uploadId=');
const multipart = { multipart: '5M', part: '5M' };

function assertFailed(job, code, message) {
  assert.equal(job.status, 'failed', JSON.stringify(job));
  assert.equal(job.errorCode, code, job.error);
  assert.match(job.error, message);
  assert.equal(job.attempts, 1, 'the export itself is not repeated');
}

test('artifacts go to the bucket, whatever the job\'s id holds, and the result says where', async t => {
  const host = await startWithBucket(t, { s3: { prefix: 'exports/' } });
  const ids = ['plain', 'two words', 'a+b', 'größe 漢字 🐞', '[id] (1) {2}', 'a/b', '..', '%2F', '?a=b&c#d;e', "it's \"quoted\"", '~tilde', '<x>&amp;'];
  for (const id of ids) {
    const job = await host.runJob({ jobId: id, ...leave(['one.txt', 12], ['two.bin', 70000, { media_type: 'application/x-two' }], ['empty', 0]) });
    assert.equal(job.status, 'completed', job.error);
    const folder = id === '..' ? '%2E%2E' : id.replace(/[%/\\]/g, c => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);
    for (const [name, bytes, type] of [['one.txt', 12, 'text/plain'], ['two.bin', 70000, 'application/x-two'], ['empty', 0, 'text/plain']]) {
      const artifact = job.result.artifacts.find(a => a.name === name);
      const url = new URL(artifact.url);
      assert.equal(url.origin, swift.endpoint);
      assert.equal(decodeURIComponent(url.pathname), `/${bucket}/exports/${folder}/${name}`);
      assert.equal(url.search, '');
      assert.deepEqual([artifact.bytes, artifact.sha256, artifact.media_type], [bytes, sha256(contentOf(bytes)), type]);
      const object = await readBack(`exports/${folder}/${name}`);
      assert.ok(object.bytes.equals(contentOf(bytes)));
      assert.equal(object.ContentType, type);
      assert.equal(object.Metadata.sha256, artifact.sha256);
      const redirect = await host.get(`/artifacts/${encodeURIComponent(id)}/${name}`);
      assert.equal(redirect.status, 307, redirect.text);
      assert.equal(redirect.headers['cache-control'], 'no-store');
      const fetched = await fetch(redirect.headers.location);
      assert.equal(fetched.status, 200, await fetched.clone().text());
      assert.ok(Buffer.from(await fetched.arrayBuffer()).equals(contentOf(bytes)));
    }
    assert.equal((await host.get(`/artifacts/${encodeURIComponent(id)}/three`)).status, 404);
  }
  assert.equal((await host.get('/artifacts/nobody/one.txt')).status, 404);
  assert.deepEqual(localCopies(host), [], 'what is in the bucket is not kept here too');
  assert.equal(await host.metric('exportd_uploads_total'), ids.length);
  assert.equal(await host.metric('exportd_upload_bytes_total'), ids.length * 70012);
  assert.equal(await host.metric('exportd_upload_failures_total'), 0);
  assert.equal(await host.metric('exportd_uploads_waiting'), 0);
  assert.deepEqual((await host.get('/readyz')).json.missing.filter(line => line.startsWith('s3')), []);
});

test('URLs are signed on request, good for that object alone', async t => {
  const host = await startWithBucket(t, { s3: { presign: '1h' } });
  const job = await host.runJob({ jobId: 'signed', ...leave(['one.txt', 100], ['two.txt', 200]) });
  const [one, two] = job.result.artifacts.map(artifact => artifact.url);
  assert.match(one, /[?&]X-Amz-Expires=3600&/);
  assert.equal((await fetch(one)).status, 200);
  assert.equal((await (await fetch(two)).arrayBuffer()).byteLength, 200);
  assert.ok([400, 403].includes((await fetch(one.split('?')[0])).status), 'the bucket is not public');
  assert.equal((await fetch(one.replace('one.txt', 'two.txt'))).status, 403, 'a signature is good for one object');
  assert.equal((await fetch(one.replace('Expires=3600', 'Expires=36000'))).status, 403);
  const redirect = await host.get('/artifacts/signed/one.txt');
  assert.equal((await fetch(redirect.headers.location)).status, 200);
});

test('a bucket is reached by its own host name too', async t => {
  const host = await startWithBucket(t, { s3: { endpoint: swift.endpoint.replace('127.0.0.1', 'localhost'), addressing: 'virtual' } });
  const job = await host.runJob({ jobId: 'by name', ...leave(['x.txt', 100]) });
  assert.equal(job.status, 'completed', job.error);
  assert.match(job.result.artifacts[0].url, /^http:\/\/artifacts\.localhost:\d+\/by%20name\/x\.txt$/);
  assert.ok((await readBack('by name/x.txt')).bytes.equals(contentOf(100)));
});

test('a large file goes up in parts', async t => {
  const host = await startWithBucket(t, { s3: multipart });
  const bytes = 23 * MB + 4711;
  const job = await host.runJob({ jobId: 'in parts [1]', ...leave(['large.bin', bytes], ['small.txt', 5 * MB]) });
  assert.equal(job.status, 'completed', job.error);
  const object = await readBack('in parts [1]/large.bin');
  assert.equal(sha256(object.bytes), sha256(contentOf(bytes)));
  assert.equal(job.result.artifacts[0].sha256, sha256(object.bytes));
  assert.match(object.ETag, /-5"$/, 'five parts');
  assert.equal(object.ContentType, 'text/plain');
  assert.equal(object.Metadata.sha256, job.result.artifacts[0].sha256);
  assert.doesNotMatch((await readBack('in parts [1]/small.txt')).ETag, /-/, 'no larger than [s3] multipart: one piece');
  assert.deepEqual(await openUploads('in parts'), []);
});

test('a wrong secret fails the job with the mend, and the job runs again once it is right', async t => {
  const wrong = 'wJalrXUtnFEMI-wrong-secret';
  const first = await startWithBucket(t, { s3: { secret_key: wrong } });
  await until(async () => (await first.get('/readyz')).json.missing.some(line => line.startsWith('s3: ')), 'the check at the start');
  const job = await first.runJob({ jobId: 'wrong secret', ...leave(['x.txt', 20 * MB]) });
  assertFailed(job, 's3_secret', /SignatureDoesNotMatch.*mend \[s3\] secret_key/);
  const ready = await first.get('/readyz');
  assert.equal(ready.status, 200);
  assert.ok(ready.json.missing.some(line => /^s3: .*SignatureDoesNotMatch/.test(line)), ready.text);
  assert.equal(await first.metric('exportd_uploads_given_up_total'), 1);
  assert.deepEqual(localCopies(first), []);
  for (const text of [JSON.stringify(job), ready.text, (await first.get('/metrics')).text, (await first.get('/jobs/wrong%20secret')).text])
    for (const secret of [wrong, accessKey, 'Signature=']) assert.ok(!text.includes(secret), text);
  await first.stop();
  const second = await startWithBucket(t, { folder: first.folder });
  assert.equal((await second.request('POST', '/jobs/wrong%20secret/retry')).status, 202);
  assert.equal((await second.finished('wrong secret')).status, 'completed');
  assert.ok((await readBack('wrong secret/x.txt')).bytes.equals(contentOf(20 * MB)));
});

test('a missing bucket, missing rights and a wrong region are named', async t => {
  const missing = await startWithBucket(t, { s3: { bucket: 'no-such-bucket' } });
  assertFailed(await missing.runJob({ jobId: 'no bucket', ...leave(['x.txt', 100]) }), 's3_bucket', /NoSuchBucket.*mend \[s3\] bucket/);
  const denied = await startWithBucket(t, { s3: { access_key: readerKey, secret_key: readerSecret, ...multipart } });
  assertFailed(await denied.runJob({ jobId: 'denied', ...leave(['x.bin', 6 * MB]) }), 's3_denied', /AccessDenied.*s3:PutObject/);
  const elsewhere = await startWithBucket(t, { s3: { region: 'eu-central-1' } });
  assertFailed(await elsewhere.runJob({ jobId: 'region', ...leave(['x.bin', 100]) }), 's3_region', /AuthorizationHeaderMalformed.*set \[s3\] region/);
});

test('exportd check asks the bucket', async t => {
  const check = more => {
    const folder = temporaryFolder(t);
    const done = run(['check', '-c', confFolder(folder, withBucket({ s3: more }).conf)], {
      env: { EXPORTD_HOST_PLUGINS: pluginFolder(folder, ['misbehave']), EXPORTD_HOST_STATE: join(folder, 'state') },
    });
    return { code: done.code, text: done.stdout + done.stderr };
  };
  const right = check({});
  assert.equal(right.code, 0, right.text);
  for (const [more, message] of [
    [{ secret_key: 'wrong' }, /mend \[s3\] secret_key/],
    [{ bucket: 'no-such-bucket' }, /NoSuchBucket/],
    [{ access_key: readerKey, secret_key: readerSecret }, /AccessDenied/],
    [{ endpoint: 'http://127.0.0.1:1' }, /connect/i],
  ]) {
    const wrong = check(more);
    assert.equal(wrong.code, 1, wrong.text);
    assert.match(wrong.text, message);
    assert.doesNotMatch(wrong.text, /sesame|Signature=/);
  }
});

test('keys that may upload and not list are no mistake', async t => {
  const relay = await startRelay(t, swift.endpoint, (seen, request, response) => {
    if (!seen.url.includes('list-type=')) return undefined;
    response.writeHead(403, { 'content-type': 'application/xml' }).end('<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>');
    return 'answered';
  });
  const host = await startWithBucket(t, { s3: { endpoint: relay.endpoint } });
  await until(() => relay.seen.some(seen => seen.method === 'DELETE' && seen.status === 404), 'the second question');
  await host.stop();
  assert.doesNotMatch(host.log, /artifacts can't be uploaded/);
});

test('a bucket without keys is refused at the start', async t => {
  const folder = temporaryFolder(t);
  const done = run(['serve', '-c', confFolder(folder, { 's3.conf': `[s3]\nbucket = x\naccess_key = y\n` })], {
    env: { EXPORTD_HTTP_LISTEN: '127.0.0.1:0', EXPORTD_HOST_PLUGINS: pluginFolder(folder, ['misbehave']), EXPORTD_HOST_STATE: join(folder, 'state') },
  });
  assert.equal(done.code, 2, done.stderr);
  assert.match(done.stderr, /secret_key is not; set it \(S3_SECRET_KEY\)/);
});

test('no worker sees the keys', async t => {
  const env = { S3_BUCKET: bucket, S3_ENDPOINT: swift.endpoint, S3_ACCESS_KEY: accessKey, S3_SECRET_KEY: secretKey, S3_REGION: 'us-east-1' };
  const host = await startHost(t, { plugins: ['misbehave'], env });
  const seen = await host.runJob({ jobId: 'environment', task: 'environment', data: {} });
  assert.doesNotMatch(JSON.stringify(seen.result), /S3_|sesame/);
  assert.equal((await host.runJob({ jobId: 'from the environment', ...leave(['x.txt', 10]) })).status, 'completed');
  assert.ok((await readBack('from the environment/x.txt')).bytes.equals(contentOf(10)));
});

test('a server that dies in the middle of an upload costs no second export', async t => {
  const host = await startWithBucket(t, { s3: { ...multipart, timeout: '5s' } });
  const bytes = 60 * MB;
  await host.process_({ jobId: 'dies', ...leave(['large.bin', bytes]) });
  await until(async () => await host.metric('exportd_upload_bytes_total') > 12 * MB, 'the third part');
  await swift.killProxy();
  afterwards(t, () => swift.servers.proxy.ended && swift.startProxy());
  await until(async () => await host.metric('exportd_upload_failures_total') > 0, 'a failed attempt');
  assert.ok((await host.get('/readyz')).json.missing.some(line => line.startsWith('s3: ')));
  assert.equal((await host.get('/jobs/dies')).json.status, 'running');
  await swift.startProxy();
  const job = await host.finished('dies');
  assert.equal(job.status, 'completed', job.error);
  assert.equal(job.result.attempt, 1);
  assert.equal(sha256((await readBack('dies/large.bin')).bytes), sha256(contentOf(bytes)));
  assert.deepEqual(await openUploads('dies'), []);
  assert.ok(await host.metric('exportd_upload_bytes_total') < bytes + 15 * MB, 'parts that were through are not sent again');
  assert.deepEqual((await host.get('/readyz')).json.missing.filter(line => line.startsWith('s3')), []);
});

test('a broken connection repeats one part; SlowDown and 500 are waited out', async t => {
  let cut = false, slow = false, broken = false;
  const relay = await startRelay(t, swift.endpoint, (seen, request, response) => {
    if (isPart(seen) && partNumber(seen) === 3 && !cut) {
      cut = true;
      return { cutAfter: 2 * MB };
    }
    if (isPart(seen) && partNumber(seen) === 4 && !slow) {
      slow = true;
      request.resume();
      response.writeHead(503, { 'content-type': 'application/xml' }).end('<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>');
      return 'answered';
    }
    if (isComplete(seen) && !broken) {
      broken = true;
      request.resume();
      response.writeHead(500).end();
      return 'answered';
    }
  });
  const host = await startWithBucket(t, { s3: { ...multipart, endpoint: relay.endpoint } });
  const bytes = 24 * MB;
  const job = await host.runJob({ jobId: 'part by part', ...leave(['large.bin', bytes]) });
  assert.equal(job.status, 'completed', job.error);
  assert.deepEqual(relay.seen.filter(isPart).map(partNumber), [1, 2, 3, 3, 4, 4, 5]);
  assert.equal(await host.metric('exportd_upload_failures_total'), 3);
  assert.equal(sha256((await readBack('part by part/large.bin')).bytes), sha256(contentOf(bytes)));
});

test('an error below a 200, and an answer that is lost', async t => {
  const completes = [];
  const relay = await startRelay(t, swift.endpoint, (seen, request, response) => {
    if (!isComplete(seen)) return undefined;
    completes.push(seen);
    if (completes.length === 1) {
      request.resume();
      response.writeHead(200, { 'content-type': 'application/xml' }).end('<?xml version="1.0" encoding="UTF-8"?>\n\n<Error><Code>InternalError</Code><Message>We encountered an internal error. Please try again.</Message></Error>');
      return 'answered';
    }
    return completes.length === 2 ? 'no answer' : undefined;
  });
  const host = await startWithBucket(t, { s3: { ...multipart, endpoint: relay.endpoint } });
  const bytes = 11 * MB;
  const job = await host.runJob({ jobId: 'two hundred', ...leave(['large.bin', bytes]) });
  assert.equal(job.status, 'completed', job.error);
  assert.match(host.log, /answered 200 InternalError/);
  assert.equal(completes.length, 3);
  assert.equal(relay.seen.filter(isPart).length, 3, 'no part was sent twice');
  assert.equal(sha256((await readBack('two hundred/large.bin')).bytes), sha256(contentOf(bytes)));
});

test('parts that the server forgot are sent anew; an object that is there after all is taken as done', async t => {
  let forgot = false;
  const nothing = (request, response) => {
    request.resume();
    response.writeHead(404, { 'content-type': 'application/xml' }).end('<Error><Code>NoSuchUpload</Code><Message>The specified multipart upload does not exist.</Message></Error>');
    return 'answered';
  };
  let done = false;
  const relay = await startRelay(t, swift.endpoint, (seen, request, response) => {
    if (isPart(seen) && partNumber(seen) === 2 && !forgot) {
      forgot = true;
      return nothing(request, response);
    }
    if (isComplete(seen)) {
      if (done) return nothing(request, response);
      done = true;
      return 'no answer';
    }
  });
  const host = await startWithBucket(t, { s3: { ...multipart, endpoint: relay.endpoint } });
  const job = await host.runJob({ jobId: 'forgotten', ...leave(['large.bin', 11 * MB]) });
  assert.equal(job.status, 'completed', job.error);
  assert.deepEqual(relay.seen.filter(isPart).map(partNumber), [1, 2, 1, 2, 3]);
  assert.equal(relay.seen.filter(seen => seen.method === 'HEAD').length, 1);
  assert.equal(sha256((await readBack('forgotten/large.bin')).bytes), sha256(contentOf(11 * MB)));
});

test('redirects are not followed', async t => {
  let elsewhere = 0;
  const relay = await startRelay(t, swift.endpoint, (seen, request, response) => {
    if (seen.url.startsWith('/elsewhere')) elsewhere++;
    request.resume();
    response.writeHead(301, { location: '/elsewhere', 'content-type': 'application/xml' })
      .end('<Error><Code>PermanentRedirect</Code><Message>Use the endpoint.</Message><Endpoint>b.s3.eu-central-1.example</Endpoint></Error>');
    return 'answered';
  });
  const host = await startWithBucket(t, { s3: { endpoint: relay.endpoint } });
  assertFailed(await host.runJob({ jobId: 'redirected', ...leave(['x.txt', 10]) }), 's3_region', /set \[s3\] region.*b\.s3\.eu-central-1\.example/);
  assert.equal(elsewhere, 0);
});

test('a server that is away: the worker is free meanwhile, and after [s3] retry_for the job fails', async t => {
  const [port] = await freePorts(1);
  const host = await startWithBucket(t, { s3: { endpoint: `http://127.0.0.1:${port}`, retry_for: '3s' }, conf: { 'w.conf': '[worker]\nworkers = 1\n' } });
  assert.equal((await host.process_({ jobId: 'away', ...leave(['x.txt', 100]) })).status, 202);
  await until(async () => await host.metric('exportd_upload_failures_total') > 0, 'a failed attempt');
  assert.equal(await host.metric('exportd_uploads_waiting'), 1);
  assert.equal((await host.runJob({ jobId: 'next', task: 'echo', data: {} })).status, 'completed');
  assert.equal((await host.get('/jobs/away')).json.status, 'running');
  assertFailed(await host.finished('away'), 's3_unavailable', /given up after \d+ attempts: .*(refused|connect)/i);
  assert.deepEqual(localCopies(host), []);
});

test('a transfer that stalls is broken off after [s3] timeout and retried', async t => {
  let stalled = false;
  const relay = await startRelay(t, swift.endpoint, seen => {
    if (seen.method !== 'PUT' || stalled) return undefined;
    stalled = true;
    return 'stall';
  });
  const host = await startWithBucket(t, { s3: { endpoint: relay.endpoint, timeout: '2s' } });
  const job = await host.runJob({ jobId: 'stalls', ...leave(['x.bin', 8 * MB]) });
  assert.equal(job.status, 'completed', job.error);
  assert.match(host.log, /nothing moved for 2 s/);
});

test('a cancel ends an upload that waits, and one in the middle of a part', async t => {
  const [port] = await freePorts(1);
  const away = await startWithBucket(t, { s3: { endpoint: `http://127.0.0.1:${port}` } });
  await away.process_({ jobId: 'waits', ...leave(['x.txt', 100]) });
  await until(async () => await away.metric('exportd_upload_failures_total') > 0, 'a failed attempt');
  assert.equal((await away.request('DELETE', '/jobs/waits')).status, 202);
  assert.equal((await away.finished('waits', 8000)).status, 'cancelled');
  assert.deepEqual(localCopies(away), []);

  let stalled;
  const relay = await startRelay(t, swift.endpoint, seen => {
    if (!isPart(seen) || partNumber(seen) < 3) return undefined;
    stalled = true;
    return 'stall';
  });
  const host = await startWithBucket(t, { s3: { ...multipart, endpoint: relay.endpoint } });
  await host.process_({ jobId: 'moves', ...leave(['large.bin', 40 * MB]) });
  await until(() => stalled, 'the third part');
  assert.deepEqual(await openUploads('moves'), ['moves/large.bin']);
  assert.equal((await host.request('DELETE', '/jobs/moves')).status, 202);
  assert.equal((await host.finished('moves', 8000)).status, 'cancelled');
  assert.deepEqual(await openUploads('moves'), [], 'its parts are thrown away');
  assert.deepEqual(localCopies(host), []);
  assert.equal(await host.metric('exportd_uploads_given_up_total'), 0);
});

test('a host that stops gives the job back once the drain time is over', async t => {
  const [port] = await freePorts(1);
  const conf = { 'h.conf': '[host]\ndrain_timeout = 2s\n' };
  const first = await startWithBucket(t, { s3: { endpoint: `http://127.0.0.1:${port}` }, conf });
  await first.process_({ jobId: 'drained', ...leave(['x.txt', 100]) });
  await until(async () => await first.metric('exportd_upload_failures_total') > 0, 'a failed attempt');
  const began = Date.now();
  await first.stop();
  assert.ok(Date.now() - began >= 1500 && Date.now() - began < 12_000, `${Date.now() - began} ms`);
  const second = await startWithBucket(t, { folder: first.folder, conf });
  const job = await second.finished('drained');
  assert.equal(job.status, 'completed', job.error);
  assert.equal(job.attempts, 1, 'what was given back counts for no attempt');
});

test('a host that stops lets an upload end that moves', async t => {
  let slow = 0;
  const relay = await startRelay(t, swift.endpoint, (seen, request, response) => {
    if (seen.method !== 'PUT' || slow++) return undefined;
    request.resume();
    setTimeout(() => response.writeHead(503).end(), 500);
    return 'answered';
  });
  const host = await startWithBucket(t, { s3: { endpoint: relay.endpoint } });
  await host.process_({ jobId: 'ends in time', ...leave(['x.txt', 100]) });
  await until(() => slow > 0, 'the upload');
  await host.stop();
  assert.ok((await readBack('ends in time/x.txt')).bytes.equals(contentOf(100)));
  const next = await startWithBucket(t, { folder: host.folder });
  assert.equal((await next.get('/jobs/ends%20in%20time')).json.status, 'completed');
});

test('a reload leaves uploads alone, though their plugin is gone and the bucket is another by now', async t => {
  let open = false;
  const relay = await startRelay(t, swift.endpoint, (seen, request, response) => {
    if (open) return undefined;
    request.resume();
    response.writeHead(503).end();
    return 'answered';
  });
  const host = await startWithBucket(t, { s3: { endpoint: relay.endpoint } });
  await host.process_({ jobId: 'stays', ...leave(['x.txt', 100]) });
  await until(async () => await host.metric('exportd_upload_failures_total') > 0, 'a failed attempt');
  rmSync(join(host.plugins, 'misbehave.so'));
  writeFileSync(join(host.conf, 's3.conf'), readFileSync(join(host.conf, 's3.conf'), 'utf8').replace(`bucket = ${bucket}`, 'bucket = elsewhere'));
  const { status, json } = await host.request('POST', '/reload');
  assert.equal(status, 200, JSON.stringify(json));
  assert.ok(json.warnings.some(({ message }) => /"bucket" in \[s3\].*next start/.test(message)), JSON.stringify(json));
  assert.equal((await host.get('/jobs/stays')).json.status, 'running');
  open = true;
  const job = await host.finished('stays');
  assert.equal(job.status, 'completed', job.error);
  assert.equal(job.attempts, 1);
  assert.ok((await readBack('stays/x.txt')).bytes.equals(contentOf(100)));
});

test('a host that dies in the middle of an upload runs the job again', async t => {
  let stalled;
  const relay = await startRelay(t, swift.endpoint, seen => {
    if (seen.method !== 'PUT' || stalled) return undefined;
    stalled = true;
    return 'stall';
  });
  const first = await startWithBucket(t, { s3: { endpoint: relay.endpoint } });
  await first.process_({ jobId: 'host dies', ...leave(['x.bin', 8 * MB]) });
  await until(() => stalled, 'the upload');
  await first.kill();
  const second = await startWithBucket(t, { folder: first.folder });
  const job = await second.finished('host dies');
  assert.equal(job.status, 'completed', job.error);
  assert.equal(sha256((await readBack('host dies/x.bin')).bytes), sha256(contentOf(8 * MB)));
  assert.deepEqual(localCopies(second), []);
});

test('many jobs upload side by side, as many at once as [s3] concurrency says', async t => {
  let now = 0, most = 0;
  const relay = await startRelay(t, swift.endpoint, (seen, request, response) => {
    if (seen.method !== 'PUT') return undefined;
    most = Math.max(most, ++now);
    response.on('close', () => { now--; });
    return undefined;
  });
  const host = await startWithBucket(t, { s3: { endpoint: relay.endpoint, concurrency: 3 } });
  const count = 40;
  await Promise.all(Array.from({ length: count }, (_, i) => host.process_({ jobId: `side-${i}`, ...leave(['a.txt', 10 + i], ['b.bin', 100_000]) })));
  for (let i = 0; i < count; i++) {
    const job = await host.finished(`side-${i}`);
    assert.equal(job.status, 'completed', job.error);
    assert.equal(job.result.artifacts[0].bytes, 10 + i);
  }
  assert.equal((await keysBelow('side-')).length, 2 * count);
  assert.ok(most >= 2 && most <= 3, `${most} at once`);
  assert.deepEqual(localCopies(host), []);
});

test('artifacts from before the bucket are still served from here', async t => {
  const first = await startHost(t, { plugins: ['misbehave'] });
  await first.runJob({ jobId: 'early', ...leave(['x.txt', 100]) });
  await first.stop();
  const second = await startWithBucket(t, { folder: first.folder });
  const answer = await second.get('/artifacts/early/x.txt');
  assert.equal(answer.status, 200);
  assert.ok(answer.bytes.equals(contentOf(100)));
});

function memoryOf(host, what) {
  return Number(new RegExp(`^${what}:\\s+(\\d+) kB`, 'm').exec(readFileSync(`/proc/${host.process.pid}/status`, 'utf8'))[1]) / 1024;
}

for (const where of ['in the bucket', 'in the local folder']) {
  test(`1 GB passes with the host's memory flat: ${where}`, { timeout: 10 * patience }, async t => {
    const bytes = (sanitized ? 128 : 1024) * MB;
    const options = { plugins: ['misbehave'] };
    const host = where === 'in the bucket' ? await startWithBucket(t) : await startHost(t, options);
    await host.runJob({ jobId: 'warm', ...leave(['x.txt', 100]) });
    const before_ = memoryOf(host, 'VmHWM');
    const began = Date.now();
    await host.process_({ jobId: 'huge', ...leave(['huge.bin', bytes, { sparse: true }]) });
    const job = await host.finished('huge', 5 * patience);
    assert.equal(job.status, 'completed', job.error);
    const took = (Date.now() - began) / 1000;
    const { headers, length } = await new Promise((done, fail) => {
      const get = url => http.get(url, response => {
        if (response.statusCode === 307) {
          response.resume();
          return get(response.headers.location);
        }
        assert.equal(response.statusCode, 200);
        const hash = createHash('sha256');
        let length_ = 0;
        response.on('data', chunk => { hash.update(chunk); length_ += chunk.length; });
        response.on('end', () => done({ headers: hash.digest('hex'), length: length_ }));
        response.on('error', fail);
      }).on('error', fail);
      get(`${host.url}/artifacts/huge/huge.bin`);
    });
    assert.equal(length, bytes);
    assert.equal(headers, job.result.artifacts[0].sha256);
    const after_ = memoryOf(host, 'VmHWM');
    t.diagnostic(`${bytes / MB} MB ${where} in ${took.toFixed(1)} s; host's peak memory ${before_.toFixed(1)} MB before, ${after_.toFixed(1)} MB after`);
    if (!sanitized) assert.ok(after_ - before_ < 4, `${before_} MB before, ${after_} MB after`);
  });
}

test('while very many jobs wait for the bucket no more are started, and all end once it answers', { timeout: 10 * patience }, async t => {
  let away = true;
  const relay = await startRelay(t, swift.endpoint, (seen, request) => {
    if (!away) return undefined;
    request.socket.destroy();
    return 'answered';
  });
  const host = await startWithBucket(t, { s3: { endpoint: relay.endpoint, concurrency: 8 }, conf: { 'w.conf': '[worker]\nworkers = 4\n' } });
  const count = 1200;
  for (let i = 0; i < count; i += 50)
    await Promise.all(Array.from({ length: 50 }, (_, j) => host.process_({ jobId: `many-${i + j}`, ...leave(['x.txt', 100]) })));
  const held = await until(async () => {
    const [waiting, running] = [await host.metric('exportd_uploads_waiting'), await host.metric('exportd_uploads_running')];
    return waiting + running >= 1000 && waiting + running;
  }, '1000 uploads', 4 * patience);
  await new Promise(done => setTimeout(done, 1500));
  assert.ok(await host.metric('exportd_uploads_waiting') < 1100, `${held} wait`);
  assert.ok(localCopies(host).length < 1100);
  away = false;
  await until(async () => await host.metric('exportd_uploads_total') === count, 'all uploads', 4 * patience);
  assert.equal((await host.finished(`many-${count - 1}`)).status, 'completed');
  assert.equal(await host.metric('exportd_uploads_given_up_total'), 0);
});
