import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, beforeEach, describe, it } from 'node:test';
import type { Comparison } from '../../bench/compare.ts';
import { SERIES } from '../../bench/growth-series.ts';
import type { Machine } from '../../bench/machine.ts';
import { HOME, Page } from '../../bench/page.ts';

const MACHINE: Machine = {
  processor: 'A & B',
  cores: 2,
  memoryGib: 8,
  kernel: 'Linux 6.1.0',
  fileSystem: 'ext4',
  node: 'v20.19.0',
  isthmus: '0.1.0',
  date: '2026-01-02',
};

const COMPARISON: Comparison = {
  targets: ['peer-1.0', 'isthmus'],
  ours: ['isthmus'],
  rows: [
    {
      id: 'w1',
      title: 'small <reads>',
      kind: 'requests',
      results: {
        'peer-1.0': { score: 1000, cpuMicros: 200, notes: [] },
        isthmus: { score: 5000, cpuMicros: 25, notes: [] },
      },
    },
    {
      id: 'w5',
      title: 'an image',
      kind: 'time',
      results: {
        'peer-1.0': { score: 30, notes: [] },
        isthmus: { score: 12, notes: [] },
      },
    },
  ],
  warnings: ['w5 of peer-1.0: 1 of 3 mounts refused'],
};

describe('docs/performance.md', () => {
  const home = mkdtempSync(join(tmpdir(), 'bench-page-'));
  const file = join(home, 'docs/performance.md');
  const read = () => readFileSync(file, 'utf8');
  after(() => rmSync(home, { recursive: true }));
  beforeEach(() => {
    mkdirSync(join(home, 'docs'), { recursive: true });
    const block = (name: string) => `<!-- bench:${name} -->\nold\n<!-- /bench:${name} -->`;
    writeFileSync(
      file,
      `Before.\n\n${block('comparison')}\n\nBetween.\n\n${block('growth')}\n\n${block('tags')}\n\nAfter.\n`,
    );
  });

  it('gets a comparison between its marks, twice the same, and keeps what was written by hand', () => {
    const page = new Page(home);
    page.writeComparison(COMPARISON, MACHINE, 'medians of 3 rounds');
    const once = read();
    page.writeComparison(COMPARISON, MACHINE, 'medians of 3 rounds');
    assert.equal(read(), once);
    assert.match(
      once,
      /^Before\.\n\n<!-- bench:comparison -->\n2026-01-02 · Isthmus 0\.1\.0 on Node/,
    );
    assert.match(once, /\| small <reads> \(`w1`\) \| req\/s \| 1,000 \| 5,000 \| 5 \|/);
    assert.match(once, /\| an image \(`w5`\) \| ms \| 30 \| 12 \| 2\.5 \|/);
    assert.match(once, /\| small <reads> \| 200 \| 25 \|/);
    assert.match(once, /- w5 of peer-1\.0: 1 of 3 mounts refused/);
    assert.match(once, /Between\.[\s\S]*bench:growth -->\nold\n[\s\S]*After\.\n$/);
  });

  it('shows charts that lie beside it', () => {
    new Page(home).writeComparison(COMPARISON, MACHINE, '');
    new Page(home).writeGrowth(
      [
        {
          series: { id: 'tags', title: 'By tags', axis: 'tags', kind: 'requests' },
          rows: [10, 1000].map((x) => ({
            x,
            lines: { page: { score: 9000 - x, p99: 2, notes: [] } },
            memoryMib: 100,
          })),
        },
      ],
      MACHINE,
      'one worker',
    );
    const shown = [...read().matchAll(/!\[[^\]]*\]\((performance\/[^)]+\.svg)\)/g)];
    assert.equal(shown.length, 3);
    assert.equal(readdirSync(join(home, 'docs/performance')).length, 3);
    for (const [, path = ''] of shown) {
      const svg = readFileSync(join(home, 'docs', path), 'utf8');
      assert.match(svg, /^<svg xmlns="http:\/\/www\.w3\.org\/2000\/svg" viewBox="0 0 \d+ [\d.]+"/);
      assert.doesNotMatch(svg, /NaN|Infinity|undefined|<reads>/);
    }
    assert.match(read(), /\| 1,000 \| 8,000 \| – \| 2 \| 100 \|/);
  });

  it('says which marks are missing', () => {
    writeFileSync(file, 'nothing');
    const write = () => new Page(home).writeComparison(COMPARISON, MACHINE, '');
    assert.throws(write, /has no <!-- bench:comparison --> …/);
  });

  it('of this project has marks for everything that is measured', () => {
    const text = readFileSync(join(HOME, 'docs/performance.md'), 'utf8');
    for (const name of ['comparison', 'growth', ...SERIES.map(({ id }) => id)]) {
      assert.ok(text.includes(`<!-- bench:${name} -->`), name);
      assert.ok(text.includes(`<!-- /bench:${name} -->`), name);
    }
  });
});
