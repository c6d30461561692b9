// Other builds of the tests' plugins: copies with numbers written over the markers in them.
import assert from 'node:assert/strict';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { build } from './host.mjs';

/** A build of the plugin name with these numbers ({marker: number}), put in place as installers do it: beside, then renamed. inPlace: written over. */
export function installMarked(host, name, numbers, { as = name, inPlace = false } = {}) {
  const bytes = readFileSync(join(build, 'test-plugins', `${name}.so`));
  for (const [marker, number] of Object.entries(numbers)) {
    const at = bytes.indexOf(`${marker}-000000`);
    assert.notEqual(at, -1);
    bytes.write(`${marker}-${String(number).padStart(6, '0')}`, at);
  }
  const path = join(host.plugins, `${as}.so`);
  if (inPlace) return writeFileSync(path, bytes);
  writeFileSync(`${path}.new`, bytes, { mode: 0o755 });
  renameSync(`${path}.new`, path);
}

/** Another build of the plugin edition. */
export const install = (host, number, options) => installMarked(host, 'edition', { edition: number }, options);
