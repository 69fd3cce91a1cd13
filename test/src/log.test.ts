import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { combinedLine, createAccessLog, type RequestRecord } from '../../src/access-log.ts';
import { createLogger, humanLine, jsonLine } from '../../src/log.ts';

const folder = mkdtempSync(join(tmpdir(), 'log-'));
after(() => rmSync(folder, { recursive: true }));

const audit = { file: undefined, pulls: true };
const access = { format: 'none' as const, file: '-' };
const request: RequestRecord = {
  method: 'GET',
  path: '/v2/a/manifests/b?x="y"',
  httpVersion: '1.1',
  repository: 'a',
  status: 200,
  bytes: 12,
  ms: 1.5,
  requestId: 'id-1',
  address: '10.0.0.1',
  user: undefined,
  userAgent: 'evil"\n127.0.0.1 - - forged',
  referer: undefined,
  aborted: false,
};

test('writes the lines of its level and above, with fixed fields, in order', () => {
  const file = join(folder, 'levels.log');
  const log = createLogger(
    { level: 'warn', format: 'json', fields: { service: 's' }, file, access, audit },
    { pid: 7 },
  );
  log.info('no');
  log.warn('first', { a: 1 });
  log.error('second', { error: new Error('broken', { cause: new Error('root') }), big: 1n });
  log.flush();
  const lines = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.deepEqual(
    lines.map(({ level, event, service, pid }) => [level, event, service, pid]),
    [
      ['warn', 'first', 's', 7],
      ['error', 'second', 's', 7],
    ],
  );
  assert.equal(lines[1].error.message, 'broken');
  assert.equal(lines[1].error.cause.message, 'root');
  assert.equal(lines[1].big, '1');
});

test('goes on in a new file after a rotation', () => {
  const file = join(folder, 'rotated.log');
  const log = createLogger({ level: 'info', format: 'json', fields: {}, file, access, audit });
  log.info('before');
  log.flush();
  renameSync(file, `${file}.1`);
  log.info('still before');
  log.reopen();
  log.info('after');
  log.flush();
  assert.match(readFileSync(`${file}.1`, 'utf8'), /"before"[\s\S]*"still before"/);
  assert.match(readFileSync(file, 'utf8'), /^[^\n]*"after"[^\n]*\n$/);
});

test('prints what has no JSON rather than fail', () => {
  const circle: Record<string, unknown> = {};
  circle.self = circle;
  assert.match(jsonLine('info', 'odd', { circle }), /"unprintable":\["circle"\]/);
  assert.match(humanLine('info', 'odd', { circle }, false), /circle=\[object Object\]/);
});

test('lets no field forge a line on a terminal', () => {
  const line = humanLine('warn', 'a\x1b[2Jb\nc', { name: 'x\ny', plain: 'z' }, false);
  assert.match(line, /WARN {2}a\\x1b\[2Jb\\x0ac {2}name="x\\ny" {2}plain=z$/);
});

test("writes Apache's combined format, quotes and controls escaped", () => {
  const line = combinedLine(request);
  assert.match(
    line,
    /^10\.0\.0\.1 - - \[\d\d\/[A-Z][a-z]{2}\/\d{4}:\d\d:\d\d:\d\d \+0000\] "GET \/v2\/a\/manifests\/b\?x=\\"y\\" HTTP\/1\.1" 200 12 "-" "evil\\"\\x0a127\.0\.0\.1 - - forged"$/,
  );
});

test('writes one line of JSON for each request, and says when the client broke off', () => {
  const file = join(folder, 'access.log');
  const log = createAccessLog({ format: 'json', file });
  log.record(request);
  log.record({ ...request, aborted: true });
  log.flush();
  const [first, second] = readFileSync(file, 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  assert.equal(first.event, 'request');
  assert.equal(first.repository, 'a');
  assert.equal(first.requestId, 'id-1');
  assert.equal(first.aborted, undefined);
  assert.equal(second.aborted, true);
});
