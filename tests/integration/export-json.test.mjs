// report/json: the published schema holds, by a validator that is not ours; the same repro gives the same bytes.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { readFileSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import Ajv from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import { run, source, temporaryFolder } from '../support/host.mjs';

const data = join(source, 'tests/data');
const read = path => JSON.parse(readFileSync(path, 'utf8'));
const ajv = new Ajv({ strict: true, allowUnionTypes: true, allErrors: true });
addFormats(ajv);
const validate = ajv.compile(read(join(source, 'plugins/export-json/report.schema.json')));

function report(t, repro, options = [], env = {}) {
  const out = temporaryFolder(t);
  const path = typeof repro === 'string' ? repro : join(out, 'repro.json');
  if (typeof repro !== 'string') writeFileSync(path, JSON.stringify(repro));
  const done = run(['run', 'report/json', '--repro', path, '-o', join(out, 'o'), ...options.flatMap(o => ['--option', o])], { env });
  if (done.code !== 0) return { done };
  const result = JSON.parse(done.stdout);
  const bytes = readFileSync(join(out, 'o', result.file));
  return { done, result, bytes, document: JSON.parse(bytes), files: readdirSync(join(out, 'o')), out: join(out, 'o') };
}

function checked(found) {
  assert.equal(found.done.code, 0, found.done.stderr);
  assert.ok(validate(found.document), JSON.stringify(validate.errors, null, 1));
  return found;
}

for (const name of ['bootstrap-20184', 'search-4711']) {
  test(`${name}: whole, valid and the same each time`, t => {
    const path = join(data, `${name}.json`);
    const first = checked(report(t, path));
    assert.deepEqual(first.document.repro, read(path));
    assert.equal(first.bytes.at(-1), 10);
    assert.deepEqual(report(t, path).bytes, first.bytes);
    for (const [i, line] of first.document.files.entries()) {
      const content = Buffer.from(first.document.repro.files[i].content, 'utf8');
      assert.equal(line.bytes, content.length);
      assert.equal(line.sha256, createHash('sha256').update(content).digest('hex'));
    }
    for (const [i, line] of first.document.screenshots.entries())
      assert.equal(line.sha256, createHash('sha256').update(Buffer.from(first.document.repro.screenshots[i].content, 'base64')).digest('hex'));
  });
  for (const options of [['pretty=false'], ['plain_errors=true'], ['screenshots=omit'], ['screenshots=artifact']])
    test(`${name}: valid with ${options}`, t => { checked(report(t, join(data, `${name}.json`), options)); });
}

test('the order of the input does not show', t => {
  const repro = read(join(data, 'bootstrap-20184.json'));
  const backwards = value => Array.isArray(value) ? value.map(backwards)
    : value && typeof value === 'object' ? Object.fromEntries(Object.entries(value).reverse().map(([k, v]) => [k, backwards(v)])) : value;
  assert.deepEqual(report(t, backwards(repro)).bytes, report(t, repro).bytes);
});

test('unknown fields are carried, and the smallest repro is enough', t => {
  const small = { id: '1', title: 't', test: { code: '' } };
  checked(report(t, small));
  const odd = { ...small, 'x-team': { z: 1.5, a: [null, true, 1e300, 'ü\u0001\u2028'] }, runs: [{ status: 'timedOut', duration_ms: 0.1, worker: 3 }], bug: null };
  const { document } = checked(report(t, odd));
  assert.deepEqual(document.repro, odd);
  assert.equal(document.summary.runs.failed, 1);
});

test('a report that is not one fails the schema', t => {
  const { document } = checked(report(t, join(data, 'search-4711.json')));
  for (const spoil of [d => { d.extra = 1; }, d => { delete d.summary; }, d => { d.files[0].sha256 = 'x'; }, d => { d.repro.id = 4; }, d => { d.created_at = 'now'; }]) {
    const copy = structuredClone(document);
    spoil(copy);
    assert.equal(validate(copy), false);
  }
});

test('SOURCE_DATE_EPOCH is the time of the report', t => {
  assert.equal(report(t, join(data, 'search-4711.json'), [], { SOURCE_DATE_EPOCH: '86400' }).document.created_at, '1970-01-02T00:00:00Z');
});

test('content that is no base64 is named', t => {
  const { done } = report(t, { id: '1', title: 't', test: { code: '' }, files: [{ path: 'a.png', content: '*', encoding: 'base64' }] });
  assert.equal(done.code, 1);
  assert.match(done.stderr + done.stdout, /\/files\/0: the file "a\.png" can't be read: its content is not base64/);
});
