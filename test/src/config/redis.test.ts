import assert from 'node:assert/strict';
import { test } from 'node:test';
import { flavor, warningsOf } from '../../support/config.ts';

const about = (text: string) =>
  warningsOf(flavor(text)).filter((line) => /redis|blobdesc/.test(line));

test('a Redis that nothing would use is warned of', () => {
  const redis = 'redis: {addr: "h:1"}';
  assert.match(about(redis)[0] ?? '', /^redis nothing uses Redis unless/);
  const cached = 'cache: {blobdescriptor: redis}';
  assert.match(about(`${redis}\nstorage: {filesystem: {}, ${cached}}`)[0] ?? '', /files of this/);
  assert.match(about(`storage: {inmemory: {}, ${cached}}`)[0] ?? '', /there is no section redis/);
  assert.deepEqual(about(`${redis}\nstorage: {inmemory: {}, ${cached}}`), []);
  assert.deepEqual(about(`${redis}\nmirroring: {source: "http://h"}`), []);
});
