// sandbox/stackblitz: the page, against StackBlitz' own SDK (npm @stackblitz/sdk) in Chromium, which nobody here wrote.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { run, source, startHost, temporaryFolder, until } from '../support/host.mjs';
import { difference, fieldsOf, hiddenFields, openPage, startChromium, startFormReceiver, whyNoChromium } from '../support/chromium.mjs';

const bootstrap = join(source, 'tests/data/bootstrap-20184.json');
const search = join(source, 'tests/data/search-4711.json');
const sdk = join(source, 'tests/node_modules/@stackblitz/sdk/bundles/sdk.umd.js');
const read = path => JSON.parse(readFileSync(path, 'utf8'));
const smallest = { id: '1', title: 't', test: { path: 'tests/a.spec.js', code: '' }, environment: { playwright: '1.65.1' } };
const skip = whyNoChromium;

function exported(t, repro, { options = [], env = {}, web } = {}) {
  const out = temporaryFolder(t);
  const path = typeof repro === 'string' ? repro : join(out, 'repro.json');
  if (typeof repro !== 'string') writeFileSync(path, typeof repro === 'object' && !Buffer.isBuffer(repro) ? JSON.stringify(repro) : repro);
  const where = web ? { EXPORTD_PLUGIN_EXPORT_STACKBLITZ_WEB: web } : {};
  const done = run(['run', 'sandbox/stackblitz', '--repro', path, '-o', join(out, 'o'), ...options.flatMap(o => ['--option', o])], { env: { ...where, ...env } });
  assert.doesNotMatch(done.stderr, /Sanitizer|runtime error:/);
  if (done.code !== 0) return { done };
  const result = JSON.parse(done.stdout);
  const page = join(out, 'o', result.page);
  return { done, result, page, html: readFileSync(page, 'utf8') };
}

/** The files of a project, from the fields that hold them. Only who knows the paths can tell "[" from a "%5B" that stood there before. */
function filesOf(fields, repro) {
  const escaped = path => path.replaceAll('[', '%5B').replaceAll(']', '%5D');
  const known = new Map([repro.test, ...repro.files ?? []].map(({ path }) => [escaped(path), path]));
  const files = fields.filter(([name]) => name.startsWith('project[files][') && name.endsWith(']'));
  return Object.fromEntries(files.map(([name, value]) => {
    const path = name.slice('project[files]['.length, -1);
    return [known.get(path) ?? path, value];
  }));
}

// Contents and names that a careless page would break on. No name is a whole number: JavaScript's objects put those first.
const odd = {
  ...smallest,
  title: '</title><script>alert(1)</script> "quotes" \'single\' & &amp; -- \u2028 \u202e 😀 検索\nsecond line',
  bug: { id: '<b>7</b>', url: 'https://bugs.example/7?a=1&b="x"', severity: '"high"' },
  test: { path: 'tests/[id] +%5B/a&b "c" \'d\' <e>, f.spec.js', code: '// </script><!-- --> \u2028\u2029\nconst a = "\u0001\u007f\t";\r\nconst b = 1;\rconst c = 2;\n\n' },
  files: [
    { path: 'a/[...slug]/[id].js', content: '</textarea></form><input name="project[title]" value="evil">' },
    { path: 'percent%20and+plus&amp;.txt', content: '%5B+&=;#\\ &lt; &#13; &amp;#13;' },
    { path: 'ünï/検索😀.txt', content: '検索 😀 é e\u0301 \u{10FFFF} \uFEFF \u0085 \u009f' },
    { path: 'empty.txt', content: '' },
    { path: 'lines.txt', content: '\n\nfirst\r\nsecond\rthird\n' },
    { path: 'bom.txt', content: '\uFEFFx' },
    { path: 'spaces.txt', content: '  \t  ' },
  ],
};

for (const [name, repro] of [['bootstrap-20184', read(bootstrap)], ['search-4711', read(search)], ['odd contents and names', odd]])
  test(`${name}: Chromium posts for our page the same bytes as for StackBlitz' own SDK`, { skip, timeout: 120_000 }, async t => {
    const receiver = await startFormReceiver(t);
    const browser = await startChromium(t);
    const still = exported(t, repro, { web: receiver.url, options: ['opens_itself=false'] });
    assert.equal(still.done.code, 0, still.done.stderr);

    // What the page holds is what the repro says, character by character.
    const reader = await openPage(browser);
    await reader.goto(`file://${still.page}`);
    const held = await hiddenFields(reader);
    const files = filesOf(held, repro);
    for (const { path, content } of repro.files ?? []) assert.equal(files[path], content, path);
    assert.equal(files[repro.test.path], repro.test.code);
    assert.equal(Object.keys(files).length, still.result.files);
    assert.deepEqual(reader.problems, []);
    assert.equal(receiver.posts.length, 0);

    // The SDK, in a page of the receiver's.
    const [[, title], [, description]] = held;
    const theirs = await openPage(browser);
    await theirs.goto(receiver.url);
    await theirs.addScriptTag({ path: sdk });
    await theirs.evaluate(([project, options]) => globalThis.StackBlitzSDK.openProject(project, options), [
      { title, description: held[1][0] === 'project[description]' ? description : undefined, template: 'node', files },
      { newWindow: false, origin: receiver.url, openFile: repro.test.path.includes(',') ? 'README.md' : `${repro.test.path},README.md` },
    ]);
    await until(() => receiver.posts.length === 1, 'the post of the SDK');

    // The page, which posts by itself.
    const own = exported(t, repro, { web: receiver.url });
    const ours = await openPage(browser);
    await ours.goto(`file://${own.page}`);
    await until(() => receiver.posts.length === 2, 'the post of the page');
    assert.deepEqual(ours.problems, []);

    // Without scripts, by the button.
    const quiet = await openPage(browser, { javaScriptEnabled: false });
    await quiet.goto(`file://${own.page}`);
    assert.equal(receiver.posts.length, 2, 'without scripts nothing is posted before the button is pressed');
    await quiet.click('text=Open in StackBlitz');
    await until(() => receiver.posts.length === 3, 'the post of the button');

    const [sdkPost, pagePost, buttonPost] = receiver.posts;
    assert.equal(sdkPost.headers['content-type'], 'application/x-www-form-urlencoded');
    for (const post of [pagePost, buttonPost]) {
      assert.equal(post.url, sdkPost.url);
      assert.equal(post.headers['content-type'], sdkPost.headers['content-type']);
      assert.equal(difference(post.body.toString('latin1'), sdkPost.body.toString('latin1')), '');
    }
  });

test('the page goes to stackblitz.com alone, and loads nothing', { skip, timeout: 120_000 }, async t => {
  const { page: path, html, result } = exported(t, search);
  assert.equal(result.opens, 'https://stackblitz.com/run?file=tests%2Fregressions%2F4711.spec.js%2CREADME.md');
  assert.match(html, /default-src 'none'; style-src 'sha256-[^']+'; script-src 'sha256-[^']+'; form-action https:\/\/stackblitz\.com; base-uri 'none'/);
  const page = await openPage(await startChromium(t));
  const asked = [];
  await page.route(/^https?:/, route => {
    asked.push({ url: route.request().url(), method: route.request().method() });
    route.fulfill({ contentType: 'text/html', body: '<title>there</title>' });
  });
  await page.goto(`file://${path}`);
  await until(async () => await page.title() === 'there');
  assert.deepEqual(asked, [{ url: result.opens, method: 'POST' }]);
  assert.deepEqual(page.problems, []);
});

test('nothing in a repro becomes markup: the page of the odd one has the same elements as that of a plain one', { skip, timeout: 120_000 }, async t => {
  const browser = await startChromium(t);
  const elements = async repro => {
    const { page: path } = exported(t, repro, { options: ['opens_itself=false'] });
    const page = await openPage(browser);
    await page.goto(`file://${path}`);
    const title = await page.title();
    const seen = await page.$$eval('*', all => all.filter(element => element.tagName !== 'INPUT').map(element => element.tagName).join(' '));
    return { seen, title, heading: await page.textContent('h1'), scripts: await page.$$eval('script', all => all.length) };
  };
  const plain = await elements({ ...odd, title: 'plain', bug: { id: '7', url: 'https://bugs.example/7', severity: 'high' }, test: { path: 'a.spec.js', code: '' } });
  const seen = await elements(odd);
  assert.equal(seen.seen, plain.seen);
  assert.equal(seen.scripts, 0);
  assert.equal(seen.heading, '</title><script>alert(1)</script> "quotes" \'single\' & &amp; -- \u202e 😀 検索 second line');
  assert.ok(seen.title.startsWith('</title><script>alert(1)</script>'));
});

test('whoever comes back to the page is not sent away again, and the button still works', { skip, timeout: 120_000 }, async t => {
  const receiver = await startFormReceiver(t);
  const { page: path } = exported(t, search, { web: receiver.url });
  const page = await openPage(await startChromium(t));
  // Chromium itself puts the next page in the place of one that posts while it loads; not every browser does.
  await page.addInitScript(() => { Object.defineProperty(performance, 'getEntriesByType', { value: () => [{ type: 'back_forward' }] }); });
  await page.goto(`file://${path}`);
  await new Promise(done => setTimeout(done, 500));
  assert.equal(receiver.posts.length, 0);
  await page.click('text=Open in StackBlitz');
  await until(() => receiver.posts.length === 1, 'the post of the button');
});

test('through the HTTP door: the artifact opens as the host serves it, and posts by itself', { skip, timeout: 120_000 }, async t => {
  const receiver = await startFormReceiver(t);
  const browser = await startChromium(t);
  const host = await startHost(t, { plugins: ['export-stackblitz'], env: { EXPORTD_PLUGIN_EXPORT_STACKBLITZ_WEB: receiver.url } });
  for (const [count, repro] of [bootstrap, search].entries()) {
    const job = await host.runJob({ task: 'sandbox', data: { platform: 'stackblitz', repro: read(repro) } });
    assert.equal(job.status, 'completed', job.error);
    const [artifact] = job.result.artifacts;
    assert.equal(artifact.name, job.result.page);
    assert.equal(artifact.media_type, 'text/html');
    assert.deepEqual(job.result.left_out, []);
    const page = await openPage(browser);
    const shown = await page.goto(new URL(artifact.url, host.url).href, { waitUntil: 'commit' });
    assert.match(shown.headers()['content-security-policy'], /^sandbox /);
    await until(() => receiver.posts.length === count + 1, 'the post of the page');
    const files = filesOf(fieldsOf(receiver.posts[count]), read(repro));
    assert.equal(Object.keys(files).length, job.result.files);
    assert.deepEqual(page.problems, []);
  }
});

test('what is not text is left out, and named; text in base64 is text', t => {
  const files = [
    { path: 'logo.png', content: Buffer.from([0x89, 0x50, 0x4e, 0x47, 0, 1]).toString('base64'), encoding: 'base64' },
    { path: 'latin1.txt', content: Buffer.from('caf\u00e9', 'latin1').toString('base64'), encoding: 'base64' },
    { path: 'half.txt', content: Buffer.from([0xed, 0xa0, 0x80]).toString('base64'), encoding: 'base64' }, // a lone surrogate
    { path: 'nul.txt', content: Buffer.from('a\0b').toString('base64'), encoding: 'base64' },
    { path: 'fine.txt', content: Buffer.from('caf\u00e9').toString('base64'), encoding: 'base64' },
  ];
  const { result, html } = exported(t, { ...smallest, files }, { options: ['opens_itself=false'] });
  assert.deepEqual(result.left_out, ['half.txt', 'latin1.txt', 'logo.png', 'nul.txt'].map(path => ({ path, reason: 'not text' })));
  assert.ok(html.includes('<input type="hidden" name="project[files][fine.txt]" value="caf\u00e9">'));
  assert.ok(!html.includes('name="project[files][logo.png]"'));
  assert.match(html, /<h2>Left out<\/h2>\n<p>StackBlitz can't take these files:<\/p>/);
  assert.match(html, /4 files of the reproduction are left out/);
  assert.equal((html.match(/<input type="hidden" name="project\[files\]/g)).length, result.files);
});

test('the project says on StackBlitz what can not run there, and how to see the bug', t => {
  const { html, result } = exported(t, bootstrap);
  assert.equal(result.start_command, 'npx playwright test --list');
  const rc = /name="project\[files\]\[\.stackblitzrc\]" value="([^"]*)"/.exec(html)[1].replaceAll('&quot;', '"');
  assert.deepEqual(JSON.parse(rc), { installDependencies: true, startCommand: 'npx playwright test --list', env: { PLAYWRIGHT_SKIP_BROWSER_DOWNLOAD: '1' } });
  const readme = /name="project\[files\]\[README\.md\]" value="([^"]*)"/.exec(html)[1];
  assert.match(readme, /\*\*On StackBlitz the test can't run\.\*\*/);
  assert.match(readme, /mcr\.microsoft\.com\/playwright:v1\.65\.1-noble/);
  assert.match(readme, /exportd run sandbox\/codesandbox/);
  assert.equal(JSON.parse(/name="project\[files\]\[\.stackblitzrc\]" value="([^"]*)"/.exec(exported(t, bootstrap, { options: ['start_command=npm start'] }).html)[1].replaceAll('&quot;', '"')).startCommand, 'npm start');
});

test('a .stackblitzrc of the repro is kept aside', t => {
  const { html, result } = exported(t, { ...smallest, files: [{ path: '.stackblitzrc', content: '{"startCommand":"evil"}' }] });
  assert.ok(html.includes('name="project[files][exportd-kept/.stackblitzrc]" value="{&quot;startCommand&quot;:&quot;evil&quot;}"'));
  assert.match(result.notes.join('\n'), /kept as "exportd-kept\/\.stackblitzrc"/);
});

test('the same input gives the same bytes', t => {
  const first = exported(t, search);
  const second = exported(t, search, { env: { TZ: 'Asia/Tokyo', LC_ALL: 'C' } });
  assert.equal(second.html, first.html);
});

const refused = {
  'an absolute path': [[{ path: '/etc/passwd', content: '' }], /repro_unsafe/],
  '..': [[{ path: 'a/../../x', content: '' }], /repro_unsafe/],
  'a newline in a path': [[{ path: 'a\nb', content: '' }], /repro_unsafe/],
  'a mark that turns the direction of text': [[{ path: 'a\u202eb', content: '' }], /repro_unsafe/],
  'a link': [[{ path: 'a', content: '/etc/passwd', type: 'symlink' }], /repro_unsafe/],
  'paths that are one to StackBlitz': [[{ path: 'a[b', content: '1' }, { path: 'a%5Bb', content: '2' }], /the paths "a\[b" and "a%5Bb" are one to StackBlitz; rename one/],
};
for (const [what, [files, message]] of Object.entries(refused))
  test(`${what} is refused by name`, t => {
    const { done } = exported(t, { ...smallest, files });
    assert.equal(done.code, 1);
    assert.match(done.stderr + done.stdout, message);
  });

test('half a character in a repro is refused where it is read', t => {
  const text = JSON.stringify({ ...smallest, title: 'LONE' }).replace('LONE', '\\ud800');
  const { done } = exported(t, Buffer.from(text));
  assert.notEqual(done.code, 0);
  assert.match(done.stderr + done.stdout, /json_invalid/);
});

test('limits: files and bytes that are sent, and no others', { timeout: 120_000 }, t => {
  const files = (count, content = 'x') => Array.from({ length: count }, (_, i) => ({ path: `many/${i}.txt`, content }));
  const most = exported(t, { ...smallest, files: files(995) });
  assert.equal(most.done.code, 0, most.done.stderr);
  assert.equal(most.result.files, 1000);
  assert.match(exported(t, { ...smallest, files: files(996) }).done.stderr, /repro_too_large.*has 1001 files, and max_files in \[plugin export-stackblitz\] is 1000/s);
  assert.notEqual(exported(t, { ...smallest, files: files(20_001) }).done.code, 0);
  assert.match(exported(t, { ...smallest, files: files(9, 'x'.repeat(1 << 20)) }).done.stderr, /repro_too_large.*max_bytes in \[plugin export-stackblitz\] is 8388608/s);
  const binary = [{ path: 'film.bin', content: Buffer.alloc(9 << 20).toString('base64'), encoding: 'base64' }];
  assert.deepEqual(exported(t, { ...smallest, files: binary }).result.left_out.map(file => file.path), ['film.bin']);
  assert.equal(exported(t, { ...smallest, files: files(1200) }, { env: { EXPORTD_PLUGIN_EXPORT_STACKBLITZ_MAX_FILES: '0' } }).result.files, 1205);
});

test('an address that is none is refused, with the key', t => {
  for (const web of ['stackblitz.com', 'javascript:alert(1)', 'https://a b', 'https://x.example/?q', 'https://u:p@x.example'])
    assert.match(exported(t, smallest, { web }).done.stderr, /option_invalid: web in \[plugin export-stackblitz\] is ".*"; expected an address such as/);
});
