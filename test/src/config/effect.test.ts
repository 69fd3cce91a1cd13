import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { packageRoot } from '../../../src/package-root.ts';
import { flavor, read, warningsOf } from '../../support/config.ts';

const source = join(packageRoot(), 'src');
const texts = readdirSync(source, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => ({ name, text: readFileSync(join(source, name), 'utf8') }));

/** Drivers that this build does not have, and does not start with. */
const ABSENT = ['S3Config', 'AzureConfig', 'GcsConfig', 'ProxyConfig'];

test('every setting that is read has an effect: something outside the readers uses it', () => {
  const settings = texts
    .filter(({ name }) => name.startsWith('config'))
    .flatMap(({ text }) => [...text.matchAll(/^export interface (\w+Config) \{\n([\s\S]*?)^\}/gm)])
    .filter(([, name = '']) => !ABSENT.includes(name))
    .flatMap(([, , body = '']) => [...body.matchAll(/^ {2}(\w+): /gm)].map(([, key = '']) => key));
  assert.ok(settings.length > 100);
  const users = texts
    .filter(({ name }) => !name.startsWith('config') || /production|later/.test(name))
    .map(({ text }) => text)
    // Its section is handed on whole.
    .concat(readFileSync(join(packageRoot(), 'storage/drivers/filesystem.ts'), 'utf8'))
    .join('\n');
  const idle = [...new Set(settings)].filter((key) => !new RegExp(`\\b${key}\\b`).test(users));
  assert.deepEqual(idle, []);
});

test('settings of others that have no effect here are named in one line', () => {
  const distribution = read(`version: 0.1
storage:
  filesystem: {maxthreads: 50}
  tag: {concurrencylimit: 4}
  cache: {blobdescriptor: inmemory, blobdescriptorsize: 10}
http: {h2c: {enabled: true}, http2: {disabled: true}}
log: {reportcaller: true}
health: {file: [{file: /down, threshold: 2}]}
`);
  assert.deepEqual(warningsOf(distribution), [
    ' understood, but without effect here: http.h2c, storage.tag.concurrencylimit, ' +
      'storage.filesystem.maxthreads, storage.cache.blobdescriptorsize, health.file[0].threshold, log.reportcaller',
  ]);
  assert.deepEqual(warningsOf(flavor('cors: {origins: ["*"], send_wildcard: true}')), [
    ' understood, but without effect here: cors.send_wildcard',
  ]);
});
