// The debs and rpms: made twice with the same bytes, clean for lintian and rpmlint, and in a fresh Debian 12 installed, run, upgraded, downgraded and purged.
import { test } from 'node:test';
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { appendFileSync, copyFileSync, existsSync, mkdirSync, openSync, closeSync, readFileSync, readdirSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { run, sanitized, source, temporaryFolder } from '../support/host.mjs';
import { Container, Images, whyNoBuildah } from '../support/containers.mjs';
import { Caller, startNats } from '../support/nats.mjs';
import { Postgres, freePort } from '../support/servers.mjs';
import { InstalledHost, copySources, debianRoot, inside, makePackages, boot, packagesOf, sh, tryInside, whyNoBoot, whyNoRoot } from '../support/packages.mjs';

const plugins = readdirSync(join(source, 'plugins'), { withFileTypes: true }).filter(entry => entry.isDirectory()).map(entry => entry.name).sort();
const repro = { id: '1', title: 'It breaks', test: { path: 'a.spec.js', code: '// it' } };
const report = (jobId, format) => ({ jobId, task: 'report', data: { format, repro } });
const digests = folder => Object.fromEntries([...packagesOf(folder, '.deb'), ...packagesOf(folder, '.rpm')].map(name =>
  [name, createHash('sha256').update(readFileSync(join(folder, name))).digest('hex')]));
function keepPackages(from, to, wanted = /./) {
  mkdirSync(to);
  for (const name of [...packagesOf(from, '.deb'), ...packagesOf(from, '.rpm')].filter(name => wanted.test(name))) copyFileSync(join(from, name), join(to, name));
  return to;
}
const version = /project\(exportd VERSION (\S+)/.exec(readFileSync(join(source, 'CMakeLists.txt'), 'utf8'))[1];

test('the unit is one that systemd takes, at an exposure of 2.5 or better', { skip: spawnSync('systemd-analyze', ['--version']).status !== 0 && 'systemd-analyze is not installed (apt-get install systemd)' }, () => {
  const unit = join(source, 'packaging/exportd.service');
  const report_ = sh('systemd-analyze', ['security', '--offline=true', '--no-pager', unit]);
  assert.ok(Number(/Overall exposure level for exportd.service: ([0-9.]+)/.exec(report_)[1]) <= 2.5, report_);
  const done = spawnSync('systemd-analyze', ['verify', '--man=no', unit], { encoding: 'utf8' });
  // The program that it starts isn't installed here; nothing else may be said.
  assert.equal(done.stderr.split('\n').filter(line => line && !/Command \/usr\/bin\/exportd is not executable/.test(line)).join('\n'), '');
});

test('the completion offers every command, and every option that its help names', () => {
  const commands = [...run(['help']).stdout.matchAll(/^ {2}([a-z]+) {2,}\S/gm)].map(([, name]) => name);
  assert.ok(commands.length > 10, commands.join(' '));
  const offered = (...words) => sh('bash', ['-c', `source "$0"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _exportd exportd "\${!#}" "\${*: -2:1}"; printf '%s\\n' "\${COMPREPLY[@]}"`,
    join(source, 'packaging/completion/exportd.bash'), 'exportd', ...words]).trim().split('\n');
  assert.deepEqual(offered('').filter(word => !word.startsWith('-')).sort(), commands.sort());
  for (const command of commands) {
    const help = run([command, '--help']);
    const named = [...new Set((help.stdout + help.stderr).match(/(?<=[[ |])--?[a-z]+\b/g) ?? [])];
    const offers = offered(command, '-');
    assert.deepEqual(named.filter(option => !offers.includes(option)), [], command);
  }
});

const skip = sanitized ? 'packages are release builds; the run on that build has this' : whyNoRoot();

test('packages', { skip, timeout: 25 * 60_000 }, async t => {
  const folder = temporaryFolder(t);
  const sources = copySources(join(folder, 'sources'));
  const made = keepPackages(makePackages(sources), join(folder, 'made'));
  const debs = packagesOf(made, '.deb'), rpms = packagesOf(made, '.rpm');
  const root = debianRoot(join(folder, 'root'));
  const give = (from, to, names) => {
    mkdirSync(join(root, to), { recursive: true });
    for (const name of names) copyFileSync(join(from, name), join(root, to, name));
  };
  const state = join(root, 'var/lib/exportd');
  const conf = join(root, 'etc/exportd/conf.d');

  await t.test('there is one for the host, one for the SDK and one for each plugin', () => {
    const names = ['exportd', 'exportd-dev', ...plugins.map(name => `exportd-plugin-${name}`)];
    assert.deepEqual(debs, names.map(name => `${name}_${version}_amd64.deb`).sort());
    assert.deepEqual(rpms, names.map(name => `${name.replace(/-dev$/, '-devel')}-${version}-1.x86_64.rpm`).sort());
  });

  await t.test('each needs what it uses itself, and no other does', () => {
    const needs = name => sh('dpkg-deb', ['--field', join(made, `${name}_${version}_amd64.deb`), 'Depends']);
    assert.match(needs('exportd-plugin-export-pdf'), /\bexportd \(>= .*fonts-dejavu-core.*libharfbuzz0b.*libhpdf/);
    for (const name of ['exportd', 'exportd-plugin-export-json', 'exportd-plugin-repo-build']) assert.doesNotMatch(needs(name), /libhpdf|libharfbuzz|libgit2|fonts/, name);
    assert.doesNotMatch(needs('exportd-plugin-export-docker'), /libcurl|libpq/);
    assert.match(needs('exportd-dev'), /libjansson-dev.*libarchive-dev.*libsodium-dev/);
    const requires = sh('rpm', ['-qp', '--requires', join(made, `exportd-plugin-export-pdf-${version}-1.x86_64.rpm`)]);
    assert.match(requires, new RegExp(`^exportd >= ${version}$`, 'm'));
    assert.match(requires, /^libharfbuzz\.so\.0\(\)\(64bit\)$/m);
    assert.match(requires, /^dejavu-sans-fonts$/m);
  });

  await t.test('lintian and rpmlint find no error', () => {
    const lintian = sh('lintian', ['--allow-root', '--fail-on', 'error', ...debs.map(name => join(made, name))]);
    assert.doesNotMatch(lintian, /^E:/m);
    assert.match(sh('rpmlint', ['-c', join(sources, 'packaging/rpmlint.toml'), ...rpms.map(name => join(made, name))]), /; 0 errors,/);
  });

  await t.test('another build, elsewhere and with another umask, makes the same bytes', () => {
    const again = copySources(join(folder, 'another', 'place', 'of-the-sources'));
    sh('sh', ['-c', 'umask 077 && exec "$0" "$@"', join(again, 'packaging/package.sh'), join(again, 'build-package')], { env: { SOURCE_DATE_EPOCH: '1750000000', TZ: 'Asia/Tokyo', HOSTNAME: 'elsewhere' } });
    assert.deepEqual(digests(join(again, 'build-package')), digests(made));
    sh('rm', ['-rf', again]);
  });

  await t.test('a container out of the debs is configured by its environment alone', { skip: whyNoBuildah() }, async t => {
    const images = new Images(join(folder, 'images'));
    images.import('base', root);
    const built = images.try('bud', '--isolation', 'chroot', '--network', 'host', '--pull-never', '--format', 'docker', '--build-arg', 'BASE=base',
      '-t', 'exportd', '-f', join(sources, 'packaging/Containerfile'), sources);
    assert.equal(built.status, 0, built.stdout.slice(-2000) + built.stderr.slice(-2000));
    const config = images.config('exportd');
    assert.equal(config.User, '10001:10001');
    const container = new Container(t, images, 'exportd');
    const command = [...config.Entrypoint, ...config.Cmd];
    const open = container.run(command);
    assert.equal(open.status, 2, open.stderr);
    assert.match(open.stderr, /others can reach, and there is no token; give one with .*EXPORTD_HTTP_TOKEN/);
    const healthy = () => container.run(config.Healthcheck.Test.slice(1));
    assert.match(healthy().stdout, /no host runs here/);

    const postgres = await new Postgres(t).start();
    const nats = await startNats(t);
    const caller = await Caller.connect(t, nats.url);
    const port = await freePort();
    await container.start(command, { EXPORTD_HTTP_TOKEN: 'sesame', EXPORTD_HTTP_LISTEN: `0.0.0.0:${port}`, DATABASE_URL: postgres.url, NATS_URL: nats.url });
    assert.equal(healthy().status, 0, healthy().stdout);
    const answer = await fetch(`http://127.0.0.1:${port}/process`, { method: 'POST', body: JSON.stringify(report('contained', 'pdf')),
      headers: { 'content-type': 'application/json', prefer: 'wait=30', authorization: 'Bearer sesame' } });
    assert.equal((await answer.json()).status, 'completed');
    caller.publish('task.request', report('by-nats', 'json'));
    assert.equal((await caller.answer('by-nats')).subject, 'task.completed');
    assert.deepEqual((await postgres.query('SELECT id FROM exportd.jobs ORDER BY id')).map(row => row.id), ['by-nats', 'contained']);
    await container.stop();
    assert.match(container.log, /host: stopped/);
    sh('rm', ['-rf', images.folder]);
  });

  await t.test('dpkg -i, and apt for what they need: exportd check finds no mistake', () => {
    give(made, 'packages', debs.filter(name => !name.startsWith('exportd-dev')));
    inside(root, 'apt-get update -qq && { dpkg -i /packages/*.deb || apt-get install -y --fix-broken; } && ! dpkg --audit | grep .');
    assert.match(inside(root, 'exportd check'), new RegExp(`^ok: ${plugins.length} plugins`, 'm'));
    assert.deepEqual(JSON.parse(inside(root, 'exportd plugins --json')).plugins.map(plugin => plugin.name).sort(), plugins);
    assert.match(inside(root, 'id exportd && stat -c "%U:%G %a" /var/lib/exportd'), /exportd:exportd 750/);
  });

  await t.test('a host in it does jobs', async () => {
    const host = await new InstalledHost(t, root).start();
    const { json } = await host.runJob(report('installed', 'pdf'));
    assert.equal(json.status, 'completed', JSON.stringify(json));
    const pdf = await (await fetch(json.result.artifacts[0].url)).arrayBuffer();
    assert.equal(Buffer.from(pdf).subarray(0, 5).toString(), '%PDF-');
    await host.stop();
  });

  await t.test('under systemd: started and watched, with a credential, as nobody in particular', { skip: whyNoBoot() }, () => {
    inside(root, 'apt-get install -y systemd systemd-sysv make');
    // A build, which needs the most of the sandbox: programs, namespaces, and a /proc of its own where this machine has any to give.
    const repository = join(root, 'srv/repository');
    mkdirSync(repository, { recursive: true });
    writeFileSync(join(repository, 'Makefile'), 'all:\n\tmkdir -p dist\n\tls /proc > dist/proc || echo none > dist/proc\n');
    sh('sh', ['-c', 'git init -q -b main && git add -A && git -c user.name=x -c user.email=x@example.org commit -qm First'], { cwd: repository });
    const clone = readFileSync(join(conf, 'repo-clone.conf'), 'utf8');
    writeFileSync(join(conf, 'repo-clone.conf'), clone.replace(/^# read =.*$/m, 'read = /srv').replace(/^# schemes = .*$/m, 'schemes = https file'));
    mkdirSync(join(root, 'etc/credstore'), { recursive: true });
    writeFileSync(join(root, 'etc/credstore/exportd.http-token'), 'sesame\n', { mode: 0o600 });
    const http = readFileSync(join(conf, 'http.conf'));
    appendFileSync(join(conf, 'http.conf'), 'token = file:${CREDENTIALS_DIRECTORY}/http-token\n');
    mkdirSync(join(root, 'etc/systemd/system/exportd.service.d'), { recursive: true });
    writeFileSync(join(root, 'etc/systemd/system/exportd.service.d/test.conf'), '[Service]\nWatchdogSec=2s\nRestartSec=100ms\n');
    const said = boot(root, `
ask() { exec 3<>/dev/tcp/127.0.0.1/8080; printf 'GET %s HTTP/1.0\\r\\nHost: localhost\\r\\n%b\\r\\n' "$1" "$2" >&3; cat <&3; }
say() { echo "$1 $(systemctl show --property "$1" --value exportd)"; }
say ActiveState
ask /plugins | head -1
ask /readyz 'Authorization: Bearer sesame\\r\\n'
ask /jobs 'Authorization: Bearer sesame\\r\\n' | head -1
grep -E '^(Uid|CapBnd|CapEff|NoNewPrivs)' /proc/$(systemctl show --property MainPID --value exportd)/status
exec 3<>/dev/tcp/127.0.0.1/8080; build='{"jobId": "built", "task": "build-assets", "data": {"repo_url": "/srv/repository"}}'
printf 'POST /process HTTP/1.0\\r\\nHost: localhost\\r\\nAuthorization: Bearer sesame\\r\\nContent-Type: application/json\\r\\nPrefer: wait=30\\r\\nContent-Length: %d\\r\\n\\r\\n%s' \${#build} "$build" >&3; cat <&3; echo
unshare --user --map-root-user --pid --fork --mount mount -t proc proc /proc && echo "a proc may be mounted"
tar -xOf /var/lib/exportd/artifacts/built/repository-build.tar.gz --wildcards '*/proc' | grep -c '^[0-9]*$' | sed 's/^/processes: /'
sleep 5; say NRestarts
kill -STOP $(systemctl show --property MainPID --value exportd)
for i in $(seq 100); do [ "$(systemctl show --property NRestarts --value exportd)" = 0 ] || break; sleep 0.1; done
say NRestarts; journalctl -u exportd --no-pager -o cat | grep -o 'Watchdog timeout' | head -1
sleep 1; systemctl stop exportd; say Result`);
    writeFileSync(join(conf, 'http.conf'), http);
    writeFileSync(join(conf, 'repo-clone.conf'), clone);
    assert.match(said, /^ActiveState active$/m, said);
    assert.match(said, /^HTTP\/1\.[01] 401 /m);
    assert.match(said, /"ready": ?true.*"landlock": ?[1-9]/, said);
    assert.match(said, /^HTTP\/1\.[01] 200 /m);
    assert.match(said, /^CapEff:\s+0+$/m);
    assert.match(said, /^CapBnd:\s+0+$/m);
    assert.match(said, /^NoNewPrivs:\s+1$/m);
    assert.doesNotMatch(said, /^Uid:\s+0/m);
    assert.match(said, /"jobId":"built","status":"completed"/, said);
    if (/^a proc may be mounted$/m.test(said)) assert.ok(Number(/^processes: (\d+)$/m.exec(said)[1]) <= 8 && !/^processes: 0$/m.test(said), said);
    assert.match(said, /^NRestarts 0\n(.*\n)*NRestarts [1-9]\d*\nWatchdog timeout\nResult success$/m);
  });

  await t.test("the author's guide, command by command, on a machine with the packages", { skip: whyNoBoot() }, () => {
    const blocks = [...readFileSync(join(source, 'sdk/README.md'), 'utf8').matchAll(/^```sh(?: root)?\n([^]*?)^```$/gm)].map(([, text]) => text);
    assert.ok(blocks.length >= 8 && /apt-get install/.test(blocks[0]), `${blocks.length} blocks`);
    give(made, 'packages', debs.filter(name => name.startsWith('exportd-dev')));
    inside(root, `cd /packages && ${blocks[0].replaceAll('\n', ' && ')} true`);
    const said = boot(root, `set -ex
mkdir /author; cd /author
${blocks.slice(1).join('\n')}
# Its package's trigger has had the host reload; what it takes away waits until it is back.
submit() { curl -sS --json "{\\"jobId\\": \\"$1\\", \\"task\\": \\"my-export\\", \\"data\\": {\\"name\\": \\"Ada\\"}$2}" -H 'prefer: wait=30' localhost:8080/process; }
submit second; echo
curl -sS --json "{\\"jobId\\": \\"third\\", \\"task\\": \\"my-export\\", \\"data\\": {\\"name\\": \\"Ada\\"}, \\"runAt\\": \\"$(date -u -d +3seconds +%FT%TZ)\\"}" localhost:8080/process; echo
dpkg --remove exportd-plugin-my-export
sleep 5; echo "without: $(curl -sS localhost:8080/jobs/third)"
curl -sS --json '{"task": "report", "data": {"format": "json", "repro": ${JSON.stringify(repro)}}}' -H 'prefer: wait=30' localhost:8080/process | cut -c1-200; echo
dpkg -i build/exportd-plugin-my-export_*.deb
for i in $(seq 100); do curl -sS localhost:8080/jobs/third | grep -q completed && break; sleep 0.1; done
echo "back: $(curl -sS localhost:8080/jobs/third)"
echo "all was done"`);
    inside(root, 'dpkg --purge exportd-plugin-my-export; rm -rf /usr/lib/exportd/plugins/my-export.so /etc/exportd/conf.d/my-export.conf /usr/share/doc/exportd-plugin-my-export /author');
    assert.match(said, /^all was done$/m, said);
    assert.match(said, /"jobId": ?"second".*"status": ?"completed"/);
    assert.match(said, /^without: .*"status": ?"pending".*"waitingFor": ?"a plugin that offers its route/m, said);
    assert.match(said, /^\{"jobId":"[^"]{36}","status":"completed","result":\{"file":"report-1.json"/m, said); // another plugin's, meanwhile
    assert.match(said, /^back: .*"status": ?"completed"/m, said);
  });

  await t.test('without any one of the plugins, the host and the others work', async () => {
    for (const plugin of plugins) {
      inside(root, `dpkg --remove exportd-plugin-${plugin}`);
      const check = tryInside(root, 'exportd check');
      assert.equal(check.code, 0, check.stderr);
      assert.match(check.stderr, new RegExp(`\\[plugin ${plugin}\\]: there is no such plugin`)); // its settings stay until it is purged
      assert.equal(JSON.parse(inside(root, 'exportd plugins --json')).plugins.length, plugins.length - 1);
      const host = await new InstalledHost(t, root).start();
      const format = plugin === 'export-json' ? 'pdf' : 'json';
      const { json } = await host.runJob(report(`without-${plugin}`, format));
      assert.equal(json.status, 'completed', JSON.stringify(json));
      await host.stop();
      inside(root, `dpkg -i /packages/exportd-plugin-${plugin}_*.deb`);
    }
  });

  const older = join(folder, 'older');
  await t.test('an upgrade keeps what was edited in conf.d, and renews the rest', async () => {
    inside(root, "dpkg --purge $(dpkg-query -W -f '${Package} ' 'exportd*')");
    // The version before: the same program, with settings that read otherwise.
    appendFileSync(join(sources, 'conf.d/http.conf'), '\n# As it was then.\n');
    appendFileSync(join(sources, 'conf.d/jobs.conf'), '\n# As it was then.\n');
    keepPackages(makePackages(sources, { options: ['-DEXPORTD_PACKAGE_VERSION=0.0.9'] }), older, /^exportd[-_]0|export-json/);
    give(older, 'older', packagesOf(older, '.deb'));
    inside(root, 'dpkg -i /older/*.deb');
    assert.match(inside(root, "dpkg-query -W -f '${Version}' exportd"), /^0\.0\.9$/);
    appendFileSync(join(conf, 'http.conf'), 'max_connections = 77\n');
    writeFileSync(join(conf, 'own.conf'), '[plugin mine]\nworkers = 1\n');
    const host = await new InstalledHost(t, root).start();
    assert.equal((await host.runJob(report('before', 'json'))).json.status, 'completed');
    await host.stop();
    inside(root, `dpkg --force-confdef --force-confold -i /packages/exportd_*.deb /packages/exportd-plugin-export-json_*.deb`);
    const http = readFileSync(join(conf, 'http.conf'), 'utf8');
    assert.match(http, /As it was then\.\nmax_connections = 77\n$/);
    assert.doesNotMatch(readFileSync(join(conf, 'http.conf.dpkg-dist'), 'utf8'), /As it was then/);
    assert.doesNotMatch(readFileSync(join(conf, 'jobs.conf'), 'utf8'), /As it was then/);
    assert.ok(existsSync(join(conf, 'own.conf')));
    await host.start();
    assert.equal((await host.get('/jobs/before')).status, 'completed');
    await host.stop();
  });

  await t.test('a downgrade works where the store is of the same schema, and is refused by name where it is newer', async () => {
    inside(root, 'dpkg --force-confdef --force-confold -i /older/*.deb');
    const host = await new InstalledHost(t, root).start();
    assert.equal((await host.get('/jobs/before')).status, 'completed');
    assert.equal((await host.runJob(report('after', 'json'))).json.status, 'completed');
    await host.stop();
    const store = openSync(join(state, 'store.db'), 'r+');
    writeSync(store, Buffer.from([0, 0, 1, 0]), 0, 4, 60); // PRAGMA user_version = 256
    closeSync(store);
    const refused = tryInside(root, 'setpriv --reuid=exportd --regid=exportd --init-groups exportd serve', { env: { XDG_STATE_HOME: '/var/lib', EXPORTD_HTTP_LISTEN: '127.0.0.1:0' } });
    assert.equal(refused.code, 2); // which the unit doesn't start again
    assert.match(refused.stderr, /store\.db: written by a newer exportd \(schema 256, and this one knows \d+\); install that version again/);
  });

  await t.test('a purge takes state, settings and user, and leaves what a person made', () => {
    inside(root, 'dpkg --purge exportd-plugin-export-json exportd');
    assert.deepEqual(readdirSync(conf).sort(), ['own.conf']);
    for (const path of [state, join(root, 'usr/bin/exportd'), join(root, 'usr/lib/exportd'), join(root, 'usr/libexec/exportd')]) assert.ok(!existsSync(path), path);
    assert.equal(tryInside(root, 'getent passwd exportd').code, 2);
    assert.equal(inside(root, 'dpkg-query -W "exportd*" 2>/dev/null || true'), '');
    sh('rm', ['-rf', join(root, 'etc/exportd')]);
  });

  await t.test('the rpms install, run, upgrade with edits kept, and uninstall', async () => {
    const rpm = (...args) => sh('rpm', ['--root', root, ...args]);
    rpm('--initdb');
    // This root is Debian's: its libraries are there, but no rpm provides them. All else has to be right.
    const missing = spawnSync('rpm', ['--root', root, '--install', '--test', ...rpms.map(name => join(made, name))], { encoding: 'utf8' }).stderr;
    const others = missing.split('\n').filter(line => /is needed by/.test(line) && !/^\s*(\S+\.so[^ ]*|\/bin\/sh|rtld\(GNU_HASH\)|shadow-utils|pkgconfig|cmake >= \S+|ca-certificates|\S+-fonts|\S+-devel) is needed by/.test(line));
    assert.deepEqual(others, []);
    const olderRpms = packagesOf(older, '.rpm').map(name => join(older, name));
    rpm('--install', '--nodeps', ...olderRpms);
    appendFileSync(join(conf, 'http.conf'), 'max_connections = 77\n');
    rpm('--upgrade', '--nodeps', ...rpms.map(name => join(made, name)));
    assert.match(readFileSync(join(conf, 'http.conf'), 'utf8'), /max_connections = 77\n$/);
    assert.ok(existsSync(join(conf, 'http.conf.rpmnew')));
    assert.doesNotMatch(readFileSync(join(conf, 'jobs.conf'), 'utf8'), /As it was then/);
    const verify = spawnSync('rpm', ['--root', root, '--verify', '--nodeps', 'exportd'], { encoding: 'utf8' }).stdout;
    assert.deepEqual(verify.trim().split('\n').map(line => line.replace(/\s+/g, ' ')), ['S.5....T. c /etc/exportd/conf.d/http.conf']);
    assert.match(inside(root, 'exportd check'), new RegExp(`^ok: ${plugins.length} plugins`, 'm'));
    const host = await new InstalledHost(t, root).start();
    assert.equal((await host.runJob(report('rpm', 'pdf'))).json.status, 'completed');
    await host.stop();
    rpm('--erase', ...sh('rpm', ['--root', root, '-qa', 'exportd*']).trim().split('\n'));
    assert.deepEqual(readdirSync(conf).sort(), ['http.conf.rpmnew', 'http.conf.rpmsave']);
    for (const path of ['usr/bin/exportd', 'usr/lib/exportd', 'usr/libexec/exportd', 'usr/include/exportd']) assert.ok(!existsSync(join(root, path)), path);
  });
});
