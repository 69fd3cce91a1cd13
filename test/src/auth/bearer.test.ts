import assert from 'node:assert/strict';
import {
  createPrivateKey,
  createPublicKey,
  createSecretKey,
  generateKeyPairSync,
  type KeyObject,
  X509Certificate,
} from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { before, describe, it } from 'node:test';
import { calculateJwkThumbprint, type JWTHeaderParameters, SignJWT } from 'jose';
import { OutsideTokens } from '../../../src/auth/bearer.ts';
import {
  libtrustKeyId,
  loadTrustedKeys,
  type TrustedKeys,
} from '../../../src/auth/trusted-keys.ts';
import { temporaryFile } from '../../support/auth-registry.ts';

const fixture = (name: string) =>
  readFileSync(join(process.cwd(), 'test/fixtures/auth', name), 'utf8');
const x5cOf = (name: string) => new X509Certificate(fixture(name)).raw.toString('base64');
const keyOf = (name: string) => createPrivateKey(fixture(name));

const ROOT = keyOf('root-key.pem');
const LEAF = keyOf('leaf-key.pem');
const STRANGER = keyOf('stranger-key.pem');
const RSA = generateKeyPairSync('rsa', { modulusLength: 2048 });
const ED = generateKeyPairSync('ed25519');
const SECRET = createSecretKey(Buffer.alloc(32, 7));

const ALGORITHMS = ['ES256', 'RS256', 'PS256', 'EdDSA', 'HS256'];
const CONFIG = { issuer: 'auth.test', service: 'registry.test', signingAlgorithms: ALGORITHMS };
const NOW = 1_800_000_000;
const ACCESS = [{ type: 'repository', name: 'team/app', actions: ['pull'] }];

interface Changes {
  header?: Record<string, unknown>;
  claims?: Record<string, unknown>;
  key?: KeyObject;
}

async function sign({ header = {}, claims = {}, key = ROOT }: Changes = {}): Promise<string> {
  const payload = {
    iss: CONFIG.issuer,
    sub: 'ann',
    aud: CONFIG.service,
    exp: NOW + 300,
    nbf: NOW,
    access: ACCESS,
    ...claims,
  };
  const withoutUndefined = JSON.parse(JSON.stringify(payload)) as Record<string, unknown>;
  return new SignJWT(withoutUndefined)
    .setProtectedHeader({
      alg: 'ES256',
      kid: libtrustKeyId(createPublicKey(ROOT)),
      ...header,
    } as JWTHeaderParameters)
    .sign(key);
}

/** A token whose signature is made by other means than a library would allow. */
function unsigned(header: Record<string, unknown>, signature = ''): string {
  const encode = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
  const { iss, aud } = { iss: CONFIG.issuer, aud: CONFIG.service };
  return `${encode(header)}.${encode({ iss, aud, sub: 'ann', exp: NOW + 300, access: ACCESS })}.${signature}`;
}

describe('a token of an outside server', () => {
  let keys: TrustedKeys;
  let tokens: OutsideTokens;
  const rsaKid = () => libtrustKeyId(RSA.publicKey);

  before(async () => {
    const jwk = (key: KeyObject, more: Record<string, string>) => ({
      ...key.export({ format: 'jwk' }),
      ...more,
    });
    keys = await loadTrustedKeys({
      rootCertBundle: temporaryFile('bundle.pem', fixture('root.pem')),
      jwks: temporaryFile(
        'keys.json',
        JSON.stringify({
          keys: [
            jwk(RSA.publicKey, { kid: 'our rsa' }),
            jwk(ED.publicKey, { kid: 'our ed' }),
            jwk(SECRET, { kid: 'our secret' }),
            jwk(createPublicKey(STRANGER), { kid: 'only 384', alg: 'ES384' }),
            jwk(createPublicKey(LEAF), { kid: 'for encryption', use: 'enc' }),
          ],
        }),
      ),
    });
    tokens = new OutsideTokens(CONFIG, keys, () => NOW * 1000);
  });

  const good: [why: string, token: () => Promise<string>][] = [
    ['names its key as libtrust does', () => sign()],
    [
      'names its key by RFC 7638',
      async () => sign({ header: { kid: await calculateJwkThumbprint(createPublicKey(ROOT)) } }),
    ],
    [
      'names a key of the key set',
      () => sign({ key: RSA.privateKey, header: { alg: 'RS256', kid: 'our rsa' } }),
    ],
    [
      'names a key of the key set as libtrust does',
      () => sign({ key: RSA.privateKey, header: { alg: 'PS256', kid: rsaKid() } }),
    ],
    [
      'is signed by Ed25519',
      () => sign({ key: ED.privateKey, header: { alg: 'EdDSA', kid: 'our ed' } }),
    ],
    [
      'is signed by a shared secret that the operator listed',
      () => sign({ key: SECRET, header: { alg: 'HS256', kid: 'our secret' } }),
    ],
    [
      'brings the certificate of a root itself',
      () => sign({ header: { x5c: [x5cOf('root.pem')] } }),
    ],
    [
      'brings a chain to a root',
      () => sign({ key: LEAF, header: { x5c: [x5cOf('leaf.pem'), x5cOf('middle.pem')] } }),
    ],
    [
      'brings a key with a chain to a root',
      () =>
        sign({
          key: LEAF,
          header: {
            kid: undefined,
            jwk: { kty: 'EC', x5c: [x5cOf('leaf.pem'), x5cOf('middle.pem')] },
          },
        }),
    ],
    [
      'brings the key that we trust under its name',
      () =>
        sign({
          header: {
            jwk: {
              ...createPublicKey(ROOT).export({ format: 'jwk' }),
              kid: libtrustKeyId(createPublicKey(ROOT)),
            },
          },
        }),
    ],
    ['has a list of audiences', () => sign({ claims: { aud: ['other', CONFIG.service] } })],
    ['expired less than a minute ago', () => sign({ claims: { exp: NOW - 59 } })],
    ['is good in less than a minute', () => sign({ claims: { nbf: NOW + 59 } })],
    ['has no subject', () => sign({ claims: { sub: undefined } })],
    ['has no access list', () => sign({ claims: { access: undefined } })],
  ];
  for (const [why, token] of good) {
    it(`passes when it ${why}`, async () => {
      assert.notEqual(await tokens.verify(await token()), undefined);
    });
  }

  const bad: [why: string, token: () => Promise<string> | string][] = [
    ['is empty', () => ''],
    ['is no JWT', () => 'a.b.c'],
    ['is not signed (alg none)', () => unsigned({ alg: 'none' })],
    [
      'is not signed, and names a key',
      () => unsigned({ alg: 'none', kid: libtrustKeyId(createPublicKey(ROOT)) }),
    ],
    [
      'is signed by our public key as a shared secret',
      () =>
        sign({
          key: createSecretKey(RSA.publicKey.export({ format: 'pem', type: 'spki' }) as Buffer),
          header: { alg: 'HS256', kid: 'our rsa' },
        }),
    ],
    [
      'is signed by our public key as a shared secret, in DER',
      () =>
        sign({
          key: createSecretKey(RSA.publicKey.export({ format: 'der', type: 'spki' })),
          header: { alg: 'HS256', kid: 'our rsa' },
        }),
    ],
    ['names the key of another kind', () => sign({ header: { kid: 'our rsa' } })],
    ['names an unknown key', () => sign({ header: { kid: 'who' } })],
    ['names no key', () => sign({ header: { kid: undefined } })],
    ['names a key of ours, signed by another', () => sign({ key: STRANGER })],
    [
      'names a key that is for another algorithm',
      () => sign({ key: STRANGER, header: { kid: 'only 384' } }),
    ],
    [
      'names a key that is for encryption',
      () => sign({ key: LEAF, header: { kid: 'for encryption' } }),
    ],
    [
      'names the key for encryption by its thumbprint',
      () => sign({ key: LEAF, header: { kid: libtrustKeyId(createPublicKey(LEAF)) } }),
    ],
    [
      'brings a key of its own',
      () =>
        sign({
          key: STRANGER,
          header: { kid: undefined, jwk: createPublicKey(STRANGER).export({ format: 'jwk' }) },
        }),
    ],
    [
      'brings a key of its own under the name of ours',
      () =>
        sign({
          key: STRANGER,
          header: {
            jwk: {
              ...createPublicKey(STRANGER).export({ format: 'jwk' }),
              kid: libtrustKeyId(createPublicKey(ROOT)),
            },
          },
        }),
    ],
    ['brings a chain with a gap', () => sign({ key: LEAF, header: { x5c: [x5cOf('leaf.pem')] } })],
    [
      'brings a chain to a root of the same name, which is not ours',
      () => sign({ key: STRANGER, header: { x5c: [x5cOf('stranger.pem')] } }),
    ],
    [
      'brings a certificate that names our root as its issuer, and is not signed by it',
      () => sign({ key: STRANGER, header: { x5c: [x5cOf('forged.pem')] } }),
    ],
    [
      'brings a certificate below one that is no authority',
      () =>
        sign({
          key: STRANGER,
          header: { x5c: ['below-leaf.pem', 'leaf.pem', 'middle.pem'].map(x5cOf) },
        }),
    ],
    [
      'brings the certificate of ours, signed by another key',
      () => sign({ key: STRANGER, header: { x5c: [x5cOf('root.pem')] } }),
    ],
    ['brings a chain of garbage', () => sign({ header: { x5c: ['AAAA'] } })],
    ['brings an empty chain, and names our key', () => sign({ header: { x5c: [] } })],
    ['is of another issuer', () => sign({ claims: { iss: 'auth.other' } })],
    ['is of no issuer', () => sign({ claims: { iss: undefined } })],
    ['is for another service', () => sign({ claims: { aud: 'registry.other' } })],
    ['is for other services', () => sign({ claims: { aud: ['a', 'b'] } })],
    ['is for nobody', () => sign({ claims: { aud: undefined } })],
    ['expired a minute ago', () => sign({ claims: { exp: NOW - 61 } })],
    ['never expires', () => sign({ claims: { exp: undefined } })],
    ['is not good before another minute', () => sign({ claims: { nbf: NOW + 61 } })],
    ['has a word for an access list', () => sign({ claims: { access: 'all' } })],
    ['has a broken access list', () => sign({ claims: { access: [{ type: 'repository' }] } })],
    [
      'has been changed',
      async () => (await sign()).replace(/\.(.)/, (_, c) => `.${c === 'e' ? 'f' : 'e'}`),
    ],
  ];
  for (const [why, token] of bad) {
    it(`is refused when it ${why}`, async () => {
      assert.equal(await tokens.verify(await token()), undefined);
    });
  }

  it('is refused by an algorithm that the operator has not listed', async () => {
    const narrow = new OutsideTokens(
      { ...CONFIG, signingAlgorithms: ['RS256'] },
      keys,
      () => NOW * 1000,
    );
    assert.equal(await narrow.verify(await sign()), undefined);
    const rsa = await sign({ key: RSA.privateKey, header: { alg: 'RS256', kid: 'our rsa' } });
    assert.notEqual(await narrow.verify(rsa), undefined);
  });

  it('is refused when its certificates are out of date', async () => {
    const later = Date.parse('2300-01-01') / 1000;
    const token = (header: Changes['header']) =>
      sign({ claims: { exp: later + 300, nbf: later }, ...(header && { header }) });
    const then = new OutsideTokens(CONFIG, keys, () => later * 1000);
    assert.notEqual(await then.verify(await token(undefined)), undefined);
    assert.equal(await then.verify(await token({ x5c: [x5cOf('root.pem')] })), undefined);
  });

  it('tells who it is for, what it grants, and until when', async () => {
    assert.deepEqual(await tokens.verify(await sign()), {
      user: 'ann',
      access: ACCESS,
      expires: (NOW + 360) * 1000,
    });
  });
});

describe('the keys of an outside token server', () => {
  it('have the names that libtrust gives them', () => {
    // Made by libtrust's own steps in another language, from the same certificate.
    assert.equal(
      libtrustKeyId(createPublicKey(ROOT)),
      'PXHV:LOME:BSIL:VCBK:ZOT2:WPZG:VVB2:GJTT:2LEZ:EKXQ:HIEI:3GMJ',
    );
  });

  it('are refused at start when a file holds none', async () => {
    const load = (rootCertBundle: string | undefined, jwks: string | undefined) =>
      loadTrustedKeys({ rootCertBundle, jwks });
    await assert.rejects(
      load(temporaryFile('b.pem', 'nothing'), undefined),
      /b\.pem holds no certificate/,
    );
    await assert.rejects(
      load(undefined, temporaryFile('k.json', '{}')),
      /k\.json is no JSON Web Key Set/,
    );
    await assert.rejects(
      load(undefined, temporaryFile('k.json', 'x')),
      /k\.json is no JSON Web Key Set/,
    );
    const odd = temporaryFile('k.json', '{"keys":[{"kid":"odd","kty":"EC"}]}');
    await assert.rejects(load(undefined, odd), /k\.json: key odd cannot be used/);
  });
});
