// compute-embeddings over real text, by hashed n-grams: the worker's processor time, of reading, cutting, embedding and writing.
import { cpSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { source } from '../support/host.mjs';
import { git } from '../support/git.mjs';
import { build, cpuMs, folder, median, row, start, workers } from './tools.mjs';

const ROUNDS = 3;
const PACKAGES = ['@faker-js/faker', 'ajv', 'lodash', 'openai', 'playwright-core', 'undici-types', 'yargs'];

export async function embeddings() {
  const repository = join(folder, 'text');
  mkdirSync(repository);
  for (const name of PACKAGES) cpSync(join(source, 'tests/node_modules', name), join(repository, name), { recursive: true });
  git(repository, 'init', '-q', '-b', 'main');
  git(repository, 'add', '-A', '-f');
  git(repository, 'commit', '-q', '-m', 'Text');
  const measure = async (name, more) => {
    const keys = { CLONE: { SCHEMES: 'file', READ: folder, CACHE: 'git', WORKERS: '1' }, EMBED: { WORKERS: '1', MAX_FILE_BYTES: '4M', DISK: '4G', MEMORY: '1G', ...more } };
    const host = await start(name, join(build, 'plugins'), Object.fromEntries(Object.entries(keys).flatMap(([plugin, own]) => Object.entries(own).map(([key, value]) => [`EXPORTD_PLUGIN_REPO_${plugin}_${key}`, value]))));
    const job = async data => {
      const answer = await fetch(`http://127.0.0.1:${host.port}/process`, { method: 'POST', headers: { 'content-type': 'application/json', prefer: 'wait=60' }, body: JSON.stringify({ task: 'compute-embeddings', data: { repo_url: `file://${repository}`, include_generated: true, ...data } }) });
      const { status, result, ...rest } = await answer.json();
      if (status !== 'completed') throw new Error(JSON.stringify(rest));
      return result;
    };
    const cpu = () => cpuMs(workers(host).find(pid => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('repo-embed')));
    let result = await job(more.CACHE ? {} : { subfolder: 'yargs' }); // the mirror is there, the worker, and the cache
    const times = [];
    for (let round = 0; round < ROUNDS; round++) {
      const before = cpu();
      result = await job();
      times.push(cpu() - before);
    }
    await host.stop();
    return { result, ms: median(times) };
  };
  const plain = await measure('embed', {}), cached = await measure('embed-again', { CACHE: 'embeddings' });
  if (cached.result.embedded !== 0) throw new Error('the cache is of no use');
  const megabytes = plain.result.bytes / 1e6, shown = ms => `${ms.toFixed(0)} ms: ${(1000 * megabytes / ms).toFixed(1)} MB/s`;
  row('compute-embeddings, hashed n-grams: text, files, chunks', `${megabytes.toFixed(1)} MB, ${plain.result.files}, ${plain.result.chunks} (${plain.result.repeated} twice)`);
  row('  processor time of the worker, all it does', shown(plain.ms));
  row('  the same again, all from the cache', shown(cached.ms));
}
