import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { treeOf } from '../../bench/processes.ts';
import { runProgram, until } from '../support/registry-process.ts';
import { startServer, type TestServer } from '../support/server.ts';

const BENCH = join(import.meta.dirname, '../../bench/main.js');
const SHORT = [
  '--rounds',
  '1',
  '--seconds',
  '0.02',
  '--big',
  '1M',
  '--workers',
  '1',
  '--pushes',
  '3',
];
/** One of each kind. */
const WORKLOADS =
  'w1.tag.c32,w3.1m.c1,w4.patch.1m.c1,w5.pull,w5.mount,w6.,w7.64k,w7.resume,w8.pull8,v1a.json.c1,v1a.tags,v1b';
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
    assert.equal(comparison.rows.length, 18);
    for (const { id, results } of comparison.rows) {
      // The process of a server that runs already is not known.
      for (const name of id.endsWith('.rss') ? ['isthmus'] : ['peer', 'isthmus']) {
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

  it('measures ours once more with other settings, in its part of the workloads, and says which goals are met', async () => {
    const goals = join(folder, 'goals.json');
    writeFileSync(
      goals,
      JSON.stringify({
        goals: [
          { workload: 'w1.tag.c1', min: 1e6 },
          { workload: 'w5.mount', subject: 'fsync-off', max: 1e6 },
        ],
      }),
    );
    const json = join(folder, 'variants.json');
    const variant = ['--ours', 'fsync-off=REGISTRY_STORAGE_FILESYSTEM_FSYNC=false'];
    const { code, stdout, stderr } = await bench(
      ...['--target', `peer=${peer.url}`, '--base', 'peer', '--nice', '1', '--check-client'],
      ...[...variant, '--part', 'fsync-off=w5', '--only', 'w1.tag.c1,w5.mount', ...SHORT],
      ...[...SMALL, '--folder', folder, '--json', json, '--goals', goals],
    );
    assert.equal(code, 3, stderr);
    const head = /^\| workload .*$/m.exec(stdout)?.[0];
    const ratios = 'isthmus ÷ peer | fsync-off ÷ peer';
    assert.equal(head, `| workload | unit | peer | isthmus | fsync-off | ${ratios} |`);
    const { comparison } = JSON.parse(readFileSync(json, 'utf8'));
    assert.deepEqual(
      comparison.rows.map(({ id, results }: { id: string; results: object }) => [
        id,
        Object.keys(results),
      ]),
      [
        ['w1.tag.c1', ['peer', 'isthmus']],
        ['w5.mount', ['peer', 'isthmus', 'fsync-off']],
      ],
    );
    assert.match(
      stdout,
      /^MISSED w1\.tag\.c1 score of isthmus: .* \(at least 1000000 × the best\)$/m,
    );
    assert.match(stdout, /^ok {5}w5\.mount score of fsync-off: .* \(at most 1000000 ms\)$/m);
    assert.match(stderr, /load generator (on peer: [\d,.]+ req\/s, wrk|can't be checked)/);
  });

  it('leaves out of V1 who does not speak it, and V2 where only V1 is wanted', async () => {
    const v2 = await startServer({ protocols: { v1: false, v2: true } });
    const only = ['--v1-only', '--only', 'v1a.json.c16,w1.tag.c1,w8.cold', ...SHORT, ...SMALL];
    const json = join(folder, 'v1.json');
    const target = ['--target', `v2=${v2.url}`, '--folder', folder, '--json', json];
    const { code, stderr } = await bench(...target, ...only);
    await v2.close();
    assert.equal(code, 0, stderr);
    const { comparison } = JSON.parse(readFileSync(json, 'utf8'));
    const rows: { id: string; results: object }[] = comparison.rows;
    assert.deepEqual(
      rows.map(({ id, results }) => [id, Object.keys(results)]),
      [
        ['w8.cold', ['isthmus']],
        ['v1a.json.c16', ['isthmus']],
      ],
    );
    assert.deepEqual(comparison.warnings, []);
  });

  it('measures a start over the store that it has filled', async () => {
    const only = ['--only', 'w8.cold-full', ...SHORT, ...SMALL, '--folder', folder];
    const { code, stdout, stderr } = await bench(...only);
    assert.equal(code, 0, stderr);
    assert.match(
      stdout,
      /\| start to the first manifest, over a full store \(`w8\.cold-full`\) \| ms \| [\d,.]+ \|/,
    );
  });

  it('stops what it started and removes its store when it is ended', async () => {
    const own = join(folder, 'ended');
    mkdirSync(own);
    const words = [
      '--only',
      'w1',
      '--seconds',
      '30',
      '--rounds',
      '1',
      '--big',
      '1M',
      '--folder',
      own,
    ];
    const child = spawn(process.execPath, [BENCH, ...words, '--no-write'], { stdio: 'ignore' });
    const ended = once(child, 'exit');
    const server = await until('a server', () => treeOf(child.pid)[1]);
    await until('a store', () => readdirSync(own)[0]);
    child.kill('SIGTERM');
    assert.deepEqual(await ended, [130, null]);
    assert.deepEqual(readdirSync(own), []);
    assert.throws(() => process.kill(server, 0), /ESRCH/);
  });

  it('says what is wrong with its options', async () => {
    const { code, stderr } = await bench('--rounds', 'many');
    assert.equal(code, 1);
    assert.equal(stderr, 'bench: many is no number above 0\n');
    assert.match((await bench('--help')).stdout, /^usage: npm run bench/);
  });
});
