import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { basicHeader, type Credentials, parseCredentials } from '../../../src/auth/credentials.ts';

const encode = (text: string) => Buffer.from(text).toString('base64');
const v1 = (signature?: string, repository?: string, access?: string): Credentials => ({
  kind: 'v1',
  tokens: [{ signature, repository, access }],
});

const rows: [header: string | undefined, credentials: Credentials][] = [
  [undefined, { kind: 'none' }],
  ['', { kind: 'none' }],
  ['Basic Og==', { kind: 'none' }],
  ['basic Og==', { kind: 'none' }],
  ['Token ', { kind: 'none' }],
  ['Token Token', { kind: 'none' }],
  [`Basic ${encode('ann:pass')}`, { kind: 'basic', user: 'ann', password: 'pass' }],
  [`BASIC  ${encode('ann:a:b')} `, { kind: 'basic', user: 'ann', password: 'a:b' }],
  [`Basic ${encode('zoë:pässwörd')}`, { kind: 'basic', user: 'zoë', password: 'pässwörd' }],
  [`Basic ${encode('ann:')}`, { kind: 'basic', user: 'ann', password: '' }],
  [`Basic ${encode(':pass')}`, { kind: 'unknown' }],
  [`Basic ${encode('no colon')}`, { kind: 'unknown' }],
  [`Basic ${encode('ann\n:pass')}`, { kind: 'unknown' }],
  [`Basic ${encode(`${'a'.repeat(256)}:pass`)}`, { kind: 'unknown' }],
  ['Basic !!!', { kind: 'unknown' }],
  ['Basic', { kind: 'unknown' }],
  ['Bearer a.b.c', { kind: 'bearer', token: 'a.b.c' }],
  ['bearer a.b.c ', { kind: 'bearer', token: 'a.b.c' }],
  ['Bearer', { kind: 'unknown' }],
  ['Bearer a b', { kind: 'unknown' }],
  ['Digest username="ann"', { kind: 'unknown' }],
  ['garbage', { kind: 'unknown' }],
  ['Token signature=S.x,repository="ns/repo",access=write', v1('S.x', 'ns/repo', 'write')],
  ['Token Token signature=S,repository="ns/repo",access=read', v1('S', 'ns/repo', 'read')],
  ['token Signature: S, repository: ns/repo , access:read', v1('S', 'ns/repo', 'read')],
  ['Token signature=S', v1('S')],
  ['Token nonsense', { kind: 'unknown' }],
  [
    'Token Token signature=A,repository="a/b",access=read,Token signature=B,repository="c/d",access=write',
    {
      kind: 'v1',
      tokens: [
        { signature: 'A', repository: 'a/b', access: 'read' },
        { signature: 'B', repository: 'c/d', access: 'write' },
      ],
    },
  ],
  [`Token ${'signature=S,'.repeat(9)}`, { kind: 'unknown' }],
];

describe('an Authorization header', () => {
  for (const [header, credentials] of rows) {
    it(`${JSON.stringify(header?.slice(0, 60))} is ${credentials.kind}`, () => {
      assert.deepEqual(parseCredentials(header), credentials);
    });
  }

  it('of any size that a server takes is read in no time', () => {
    const fillings = ['a', ' ', 'a ', 'token ', 'a:', '="', ',', '\t=', 'signature'];
    for (const scheme of ['Token ', 'Basic ', 'Bearer ', '']) {
      for (const filling of fillings) {
        const header = scheme + filling.repeat(64_000 / filling.length);
        const started = performance.now();
        parseCredentials(header);
        const ms = performance.now() - started;
        assert.ok(ms < 200, `${ms} ms for ${scheme}and many "${filling}"`);
      }
    }
  });

  it('is made for names that Basic can carry only', () => {
    assert.deepEqual(parseCredentials(basicHeader('zoë', 'a:b')), {
      kind: 'basic',
      user: 'zoë',
      password: 'a:b',
    });
    assert.equal(basicHeader('a:b', 'c'), undefined);
  });
});
