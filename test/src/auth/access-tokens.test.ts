import assert from 'node:assert/strict';
import { createSecretKey } from 'node:crypto';
import { before, describe, it } from 'node:test';
import { SignJWT } from 'jose';
import { AccessTokens } from '../../../src/auth/access-tokens.ts';
import { loadSigningKey, type SigningKey } from '../../../src/auth/signing-key.ts';
import { memory, TOKEN_ENDPOINT } from '../../support/auth-registry.ts';

const NOW = 1_800_000_000;

describe('a token of our own endpoint', () => {
  let key: SigningKey;
  let stranger: SigningKey;

  before(async () => {
    key = await loadSigningKey(memory(), { file: undefined, secret: undefined });
    stranger = await loadSigningKey(memory(), { file: undefined, secret: undefined });
  });

  const at = (seconds: number, settings = TOKEN_ENDPOINT, by = key) =>
    new AccessTokens(by, settings, () => (NOW + seconds) * 1000);
  const issue = async (from: AccessTokens) => (await from.issue('ann', 'state', [])).token;

  it('says who it is for and in which state the account was', async () => {
    assert.deepEqual(await at(0).verify(await issue(at(0))), {
      user: 'ann',
      state: 'state',
      access: [],
      expires: (NOW + 360) * 1000,
    });
  });

  it('lasts as long as it says, and a minute for clocks that differ', async () => {
    const token = await issue(at(0));
    assert.notEqual(await at(359).verify(token), undefined);
    assert.equal(await at(361).verify(token), undefined);
    assert.notEqual(await at(-59).verify(token), undefined);
    assert.equal(await at(-61).verify(token), undefined);
  });

  const endless = { iss: 'isthmus', sub: 'ann', aud: 'registry', access: [] };
  const claims = { ...endless, exp: NOW + 300 };
  const bad: [string, () => Promise<string> | string][] = [
    ['is of another issuer', () => issue(at(0, { ...TOKEN_ENDPOINT, issuer: 'other' }))],
    ['is for another service', () => issue(at(0, { ...TOKEN_ENDPOINT, service: 'other' }))],
    ['is signed by another key', () => issue(at(0, TOKEN_ENDPOINT, stranger))],
    [
      'is signed by another key under the name of ours',
      () => issue(at(0, TOKEN_ENDPOINT, { ...stranger, keyId: key.keyId })),
    ],
    [
      'is not signed',
      () =>
        [{ alg: 'none', kid: key.keyId }, claims]
          .map((part) => `${Buffer.from(JSON.stringify(part)).toString('base64url')}.`)
          .join(''),
    ],
    [
      'is signed by our public key as a shared secret',
      () =>
        new SignJWT(claims)
          .setProtectedHeader({ alg: 'HS256', kid: key.keyId })
          .sign(createSecretKey(key.publicKey.export({ format: 'der', type: 'spki' }))),
    ],
    [
      'never expires',
      () =>
        new SignJWT(endless)
          .setProtectedHeader({ alg: 'ES256', kid: key.keyId })
          .sign(key.privateKey),
    ],
  ];
  for (const [why, token] of bad) {
    it(`is refused when it ${why}`, async () => {
      assert.equal(await at(0).verify(await token()), undefined);
    });
  }
});
