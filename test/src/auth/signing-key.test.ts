import assert from 'node:assert/strict';
import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import { describe, it } from 'node:test';
import { AccessTokens } from '../../../src/auth/access-tokens.ts';
import { loadSigningKey } from '../../../src/auth/signing-key.ts';
import { memory, TOKEN_ENDPOINT, temporaryFile } from '../../support/auth-registry.ts';

const DEFAULTS = { file: undefined, secret: undefined };
const pem = (key: KeyObject) => key.export({ format: 'pem', type: 'pkcs8' }).toString();
const jwk = (key: KeyObject) => JSON.stringify(key.export({ format: 'jwk' }));

describe('the key that signs tokens', () => {
  it('is one, however many workers start at the same time', async () => {
    const driver = memory();
    const keys = await Promise.all(
      Array.from({ length: 8 }, () => loadSigningKey(driver, DEFAULTS)),
    );
    assert.equal(new Set(keys.map(({ keyId }) => keyId)).size, 1);
    assert.equal(new Set(keys.map((key) => key.secretFor('x').toString('hex'))).size, 1);
  });

  it('outlives the process, and is another in another store', async () => {
    const driver = memory();
    const first = await loadSigningKey(driver, DEFAULTS);
    assert.equal((await loadSigningKey(driver, DEFAULTS)).keyId, first.keyId);
    assert.notEqual((await loadSigningKey(memory(), DEFAULTS)).keyId, first.keyId);
  });

  it('gives a secret of its own for each purpose, from the shared secret where there is one', async () => {
    const driver = memory();
    const own = await loadSigningKey(driver, DEFAULTS);
    const shared = await loadSigningKey(driver, { file: undefined, secret: 'shared' });
    const other = await loadSigningKey(memory(), { file: undefined, secret: 'shared' });
    assert.notDeepEqual(own.secretFor('a'), own.secretFor('b'));
    assert.notDeepEqual(own.secretFor('a'), shared.secretFor('a'));
    assert.deepEqual(other.secretFor('a'), shared.secretFor('a'));
  });

  const kinds: [string, string, string][] = [
    ['P-256, PEM', 'ES256', pem(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey)],
    ['P-384, JWK', 'ES384', jwk(generateKeyPairSync('ec', { namedCurve: 'P-384' }).privateKey)],
    ['Ed25519, PEM', 'EdDSA', pem(generateKeyPairSync('ed25519').privateKey)],
    ['RSA, JWK', 'RS256', jwk(generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey)],
  ];
  for (const [kind, algorithm, text] of kinds) {
    it(`may be the operator's: ${kind}`, async () => {
      const options = { file: temporaryFile('key', text), secret: undefined };
      const key = await loadSigningKey(memory(), options);
      assert.equal(key.algorithm, algorithm);
      const tokens = new AccessTokens(key, TOKEN_ENDPOINT);
      const { token } = await tokens.issue('ann', 'state', []);
      assert.equal((await tokens.verify(token))?.user, 'ann');
    });
  }

  it('is refused with the name of its file when it cannot sign', async () => {
    const load = (text: string) =>
      loadSigningKey(memory(), { file: temporaryFile('odd-key', text), secret: undefined });
    await assert.rejects(
      load('nothing'),
      /odd-key holds no private key; expected PEM or a JSON Web Key/,
    );
    await assert.rejects(load('{"kty":"EC"}'), /odd-key holds no private key/);
    await assert.rejects(
      load(pem(generateKeyPairSync('x25519').privateKey)),
      /odd-key holds a key that cannot sign/,
    );
  });
});
