import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { WarmFiles } from '../../../storage/drivers/warm-files.ts';

describe('parts of files that were read lately', () => {
  it('are known one by one, by file and number', () => {
    const warm = new WarmFiles(1 << 20);
    warm.add('/a', 1.5);
    assert.equal(warm.has('/a', 1), true);
    assert.equal(warm.has('/a', 1.99), true);
    assert.equal(warm.has('/a', 2), false);
    assert.equal(warm.has('/b', 1), false);
  });
});
