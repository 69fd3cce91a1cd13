import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { HELP } from '../../bench/help.ts';
import { parseOptions } from '../../bench/options.ts';

const parsed = (...words: string[]) => {
  const options = parseOptions(words);
  assert.ok(options);
  return options;
};
const PEERS = ['--target', 'a=http://127.0.0.1:1', '--target', 'b=http://127.0.0.1:2'];

describe('the options of the benchmark', () => {
  it('name peers, with what is known of each', () => {
    const known = ['--spawn', 'a=serve x=y', '--pid', 'b=17', '--auth', 'b=user:pass'];
    assert.deepEqual(parsed(...PEERS, ...known).peers, [
      { name: 'a', url: 'http://127.0.0.1:1', command: 'serve x=y' },
      { name: 'b', url: 'http://127.0.0.1:2', pid: 17, auth: 'user:pass' },
    ]);
  });

  it('name ours once more with variables of its own, which may take part in some workloads only', () => {
    const { variants, wants } = parsed(
      ...['--ours', 'off=REGISTRY_STORAGE_FILESYSTEM_FSYNC=false GUNICORN_WORKERS=1'],
      ...['--part', 'off=w4,w5', '--skip', 'w4.mono.big'],
    );
    const env = { REGISTRY_STORAGE_FILESYSTEM_FSYNC: 'false', GUNICORN_WORKERS: '1' };
    assert.deepEqual(variants, [{ name: 'off', env }]);
    const ids = ['w1.tag.c1', 'w4.mono.big.c1', 'w4.mono.1m.c1', 'w5.push'];
    assert.deepEqual(
      ids.filter((id) => wants(id, 'off')),
      ['w4.mono.1m.c1', 'w5.push'],
    );
    assert.ok(wants('w1.tag.c1', 'isthmus'));
  });

  it('understand sizes with and without a unit', () => {
    const sizes = ['1000', '64K', '1.5M', '2g'].map((size) => parsed('--big', size).scale.bigBytes);
    assert.deepEqual(sizes, [1000, 65_536, 1_572_864, 2 ** 31]);
  });

  it('leave the page alone when only a part is measured', () => {
    assert.equal(parsed().write, true);
    for (const words of [['--only', 'w1'], ['--skip', 'w1'], ['--v1-only'], ['--no-write']]) {
      assert.equal(parsed(...words).write, false, words[0]);
    }
  });

  it('are refused with what is wrong', () => {
    const wrong: [string[], RegExp][] = [
      [['--target', 'http://x'], /^Error: http:\/\/x is not NAME=VALUE$/],
      [['--rounds', 'many'], /many is no number above 0/],
      [['--big', '256X'], /256X is no size such as 256M/],
      [['--nice', '20'], /20 is no priority from -20 to 19/],
      [['--pid', 'c=1'], /there is no target c/],
      [[...PEERS, '--pid', 'a=x'], /x is no number above 0/],
      [[...PEERS, '--base', 'isthmus'], /there is no target isthmus/],
      [[...PEERS, '--part', 'c=w1'], /there is no target c/],
      [[...PEERS, '--ours', 'a=X=1'], /two targets are called a/],
      [['--target', 'isthmus=http://x'], /two targets are called isthmus/],
      [['--target', 'a=http://x', '--target', 'a=http://y'], /a is given twice/],
      [['--colour'], /Unknown option '--colour'/],
    ];
    for (const [words, message] of wrong) assert.throws(() => parseOptions(words), message);
  });

  it('are all in the help', () => {
    const named = new Set([...HELP.matchAll(/--([a-z\d-]+)/g)].map(([, name]) => name));
    const values = [...named].filter((name) => name !== '');
    assert.ok(values.length > 25);
    for (const name of values) {
      // A word that is no option is refused by name; a known one is not.
      try {
        parseOptions([`--${name}`, 'a=1']);
      } catch (error) {
        assert.doesNotMatch(String(error), /Unknown option/);
      }
    }
  });
});
