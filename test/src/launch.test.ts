import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { showConfig } from '../../src/config/show.ts';
import { codeCacheOf, compile } from '../../src/launch.ts';
import { packageRoot } from '../../src/package-root.ts';
import { startIsthmus } from '../support/child-server.ts';
import { makeV1Chain } from '../support/images.ts';
import { MAIN } from '../support/isthmus-command.ts';
import { temporaryDirectory } from '../support/temporary.ts';
import { V1Client } from '../support/v1-client.ts';

const CHUNKS = fileURLToPath(new URL('../../src/chunks', import.meta.url));
const BUNDLE = join(CHUNKS, 'programs.cjs');

const configOf = (args: string[], nodeOptions: string[] = []) =>
  execFileSync(process.execPath, [...nodeOptions, MAIN, 'config', ...args], { encoding: 'utf8' });

test('V8 takes the code that was kept when the bundle was built, if it is of the same version', () => {
  const caches = readdirSync(CHUNKS).filter((name) => name.endsWith('.cache'));
  assert.equal(caches.length, 1);
  const isOurs = existsSync(codeCacheOf(BUNDLE));
  assert.equal(compile(BUNDLE).cachedDataRejected, isOurs ? false : undefined);
});

test('the bundle reads the sample as the YAML library does, and a changed sample from its text', (context) => {
  const { STORAGE_PATH: _, ...environment } = process.env;
  assert.equal(configOf([]), showConfig(loadConfig(undefined, environment).config));
  const changed = join(temporaryDirectory(context), 'config.yml');
  const sample = readFileSync(join(packageRoot(), 'config_sample.yml'), 'utf8');
  writeFileSync(changed, sample.replace('maxtags: 1000', 'maxtags: 1001'));
  assert.equal(parse(configOf([changed])).pages.tags, 1001);
});

test('a Node that maps lines to sources runs the same bundle', () => {
  assert.equal(configOf([], ['--enable-source-maps']), configOf([]));
});

test('the bundle takes V1 pushes and loads hooks, by code that it reads when it needs it', async (context) => {
  const folder = temporaryDirectory(context);
  const told = join(folder, 'told');
  const hooks = join(folder, 'hooks.mjs');
  writeFileSync(
    hooks,
    `import { writeFileSync } from 'node:fs';
     export function tag_created() { writeFileSync(${JSON.stringify(told)}, ''); }`,
  );
  const env = { REGISTRY_PROTOCOLS_V1_HOOKS: hooks, LOGLEVEL: 'error' };
  const server = await startIsthmus({ storage: join(folder, 'store'), env });
  context.after(() => server.stop());
  await new V1Client(server.url, '1.5.0').push(
    'team/app',
    'v1',
    makeV1Chain({ seed: 5, layers: 1 }),
  );
  assert.ok(existsSync(told));
});
