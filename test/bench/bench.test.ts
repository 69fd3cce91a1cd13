import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { runProgram } from '../support/registry-process.ts';
import { startServer, type TestServer } from '../support/server.ts';

const BENCH = join(import.meta.dirname, '../../bench/main.js');
const SHORT = [
  '--rounds',
  '1',
  '--seconds',
  '0.02',
  '--big',
  '1',
  '--workers',
  '1',
  '--pushes',
  '3',
];
/** One of each kind. */
const WORKLOADS =
  'w1.tag.c32,w3.1m.c1,w4.patch.1m.c1,w5.pull,w5.mount,w6.tags,w7.64k,v1a.json.c1,v1b';
const SMALL = ['--tags', '120', '--repositories', '120', '--no-write'];

const bench = (...words: string[]) => runProgram([...words], {}, { program: BENCH });

describe('npm run bench', { timeout: 120_000 }, () => {
  const folder = mkdtempSync(join(tmpdir(), 'bench-'));
  let peer: TestServer;
  before(async () => {
    peer = await startServer();
  });
  after(async () => {
    await peer.close();
    rmSync(folder, { recursive: true });
  });

  it('measures us beside a peer, finds nothing wrong with either, and leaves nothing behind', async () => {
    const json = join(folder, 'result.json');
    const places = ['--folder', folder, '--json', json, '--target', `peer=${peer.url}`];
    const some = ['--v1', '--only', WORKLOADS, ...SHORT];
    const { code, stdout, stderr } = await bench(...places, ...some, ...SMALL);
    assert.equal(code, 0, stderr);
    const { comparison } = JSON.parse(readFileSync(json, 'utf8'));
    assert.equal(comparison.rows.length, 10);
    for (const { id, results } of comparison.rows) {
      for (const name of ['peer', 'isthmus']) {
        assert.ok(results[name].score > 0, `${id} of ${name}: ${JSON.stringify(results[name])}`);
      }
    }
    assert.deepEqual(comparison.warnings, []);
    assert.match(
      stdout,
      /\| manifest by tag, c=32 \(`w1\.tag\.c32`\) \| req\/s \| [\d,.]+ \| [\d,.]+ \| [\d,.]+ \|/,
    );
    assert.deepEqual(readdirSync(folder), ['result.json']);
  });

  it('names a peer that cheats', async () => {
    const liar = await startServer({ content: { policy: { references: false, indexes: 'none' } } });
    const some = ['--only', 'w1.tag.c1', ...SHORT, ...SMALL, '--folder', folder];
    const { code, stdout } = await bench('--target', `liar=${liar.url}`, ...some);
    await liar.close();
    assert.equal(code, 0);
    assert.match(stdout, /- liar: not true that a manifest of missing blobs is refused/);
  });

  it('says what is wrong with its options', async () => {
    const wrong: [string[], RegExp][] = [
      [['--target', 'http://x'], /not NAME=VALUE/],
      [['--rounds', 'many'], /many is no number above 0/],
      [['--colour'], /Unknown option '--colour'/],
    ];
    for (const [words, message] of wrong) {
      const { code, stderr } = await bench(...words);
      assert.equal(code, 1);
      assert.match(stderr, message);
    }
    assert.match((await bench('--help')).stdout, /^usage: npm run bench/);
  });
});
