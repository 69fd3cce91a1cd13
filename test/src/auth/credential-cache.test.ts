import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { CredentialCache } from '../../../src/auth/credential-cache.ts';

interface Who {
  name: string;
}

const ANN = { name: 'ann' };

/** A check that counts its calls, and settles when it is told to. */
function heldCheck(value: Who | undefined, until = 1000) {
  let release = () => {};
  const held = new Promise<void>((resolve) => {
    release = resolve;
  });
  const check = {
    calls: 0,
    release: () => release(),
    run: async () => {
      check.calls += 1;
      await held;
      return value && { value, until };
    },
  };
  return check;
}

describe('the cache of credentials', () => {
  it('checks the same credentials once at a time, and answers at once from then on', async () => {
    const cache = new CredentialCache<Who>();
    const check = heldCheck(ANN);
    const answers = Array.from({ length: 5 }, () => cache.resolve('a', 0, check.run));
    check.release();
    assert.deepEqual(await Promise.all(answers), Array(5).fill(ANN));
    assert.equal(cache.resolve('a', 999, check.run), ANN);
    assert.equal(check.calls, 1);
    assert.ok(cache.resolve('b', 0, check.run) instanceof Promise);
    assert.equal(check.calls, 2);
  });

  it('believes nothing beyond its time', async () => {
    const cache = new CredentialCache<Who>();
    const check = heldCheck(ANN);
    check.release();
    await cache.resolve('a', 0, check.run);
    assert.ok(cache.resolve('a', 1000, check.run) instanceof Promise);
  });

  it('remembers no refusal and no error', async () => {
    const cache = new CredentialCache<Who>();
    const failing = async () => {
      throw new Error('the index is away');
    };
    await assert.rejects(async () => cache.resolve('a', 0, failing), /the index is away/);
    const refused = heldCheck(undefined);
    refused.release();
    assert.equal(await cache.resolve('a', 0, refused.run), undefined);
    assert.equal(await cache.resolve('a', 0, refused.run), undefined);
    assert.equal(refused.calls, 2);
  });

  it('does not remember what was being checked when it was cleared', async () => {
    const cache = new CredentialCache<Who>();
    const old = heldCheck(ANN);
    const answer = cache.resolve('a', 0, old.run);
    cache.clear();
    const fresh = heldCheck({ name: 'other' });
    const again = cache.resolve('a', 0, fresh.run);
    fresh.release();
    assert.deepEqual(await again, { name: 'other' });
    old.release();
    await answer;
    assert.deepEqual(cache.resolve('a', 0, fresh.run), { name: 'other' });
  });
});
