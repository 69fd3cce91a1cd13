import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';
import { describe, it } from 'node:test';
import type { Access } from '../../../protocols/registry.ts';
import { parseCredentials, type V1TokenFields } from '../../../src/auth/credentials.ts';
import { SealedTokens } from '../../../src/auth/sealed-tokens.ts';
import { isWithin, type V1Access, V1Sessions } from '../../../src/auth/v1-sessions.ts';

const KEY = randomBytes(32);
const clock = { now: 1_800_000_000_000 };
const sessions = new V1Sessions(new SealedTokens(KEY), 3600, () => clock.now);
const TOKEN = { user: 'ann', state: 's', repository: 'team/app', access: 'write' as V1Access };

function fieldsOf(text: string): V1TokenFields {
  const credentials = parseCredentials(`Token ${text}`);
  assert.equal(credentials.kind, 'v1');
  const [fields] = credentials.kind === 'v1' ? credentials.tokens : [];
  assert.ok(fields);
  return fields;
}

describe('a V1 token', () => {
  it('says what it was made for', () => {
    const opened = sessions.open(fieldsOf(sessions.issue(TOKEN)));
    assert.deepEqual(opened, { ...TOKEN, expires: clock.now + 3_600_000 });
  });

  it('can be made for a client without a login', () => {
    const anonymous = { ...TOKEN, user: undefined, state: undefined };
    const opened = sessions.open(fieldsOf(sessions.issue(anonymous)));
    assert.equal(opened?.repository, 'team/app');
    assert.equal(opened?.user, undefined);
  });

  it('has the form that engines pass on', () => {
    assert.match(
      sessions.issue(TOKEN),
      /^signature=[\w-]+\.[\w-]+,repository="team\/app",access=write$/,
    );
  });

  const changes: [string, (fields: V1TokenFields) => V1TokenFields][] = [
    ['another repository', (fields) => ({ ...fields, repository: 'team/other' })],
    ['no repository', (fields) => ({ ...fields, repository: undefined })],
    ['more access', (fields) => ({ ...fields, access: 'delete' })],
    ['unknown access', (fields) => ({ ...fields, access: 'everything' })],
    ['no access', (fields) => ({ ...fields, access: undefined })],
    ['no signature', (fields) => ({ ...fields, signature: undefined })],
    ['an empty signature', (fields) => ({ ...fields, signature: '' })],
    ['half a signature', (fields) => ({ ...fields, signature: fields.signature?.split('.')[0] })],
    [
      "docker-registry's random signature",
      (fields) => ({ ...fields, signature: 'ABCDEFGHIJKLMNOP' }),
    ],
    [
      'another signature',
      (fields) => ({
        ...fields,
        signature: fieldsOf(
          new V1Sessions(new SealedTokens(randomBytes(32)), 3600, () => clock.now).issue(TOKEN),
        ).signature,
      }),
    ],
    [
      'changed claims under the same signature',
      (fields) => {
        const [payload = '', mac] = fields.signature?.split('.') ?? [];
        const claims = JSON.parse(Buffer.from(payload, 'base64url').toString());
        const changed = Buffer.from(JSON.stringify({ ...claims, user: 'root' }));
        return { ...fields, signature: `${changed.toString('base64url')}.${mac}` };
      },
    ],
  ];
  for (const [what, change] of changes) {
    it(`is refused with ${what}`, () => {
      assert.equal(sessions.open(change(fieldsOf(sessions.issue(TOKEN)))), undefined);
    });
  }

  it('is refused when a token of another purpose is put into it', () => {
    const claims = { exp: clock.now, repository: 'team/app', access: 'write' };
    const signature = new SealedTokens(randomBytes(32)).seal(claims);
    assert.equal(sessions.open({ signature, repository: 'team/app', access: 'write' }), undefined);
  });

  it('is refused when its time is over', () => {
    const fields = fieldsOf(sessions.issue(TOKEN));
    const later = (seconds: number) =>
      new V1Sessions(new SealedTokens(KEY), 3600, () => clock.now + seconds * 1000).open(fields);
    assert.notEqual(later(3599), undefined);
    assert.equal(later(3600), undefined);
  });

  const may: [V1Access, Access, boolean][] = [
    ['read', { type: 'repository', name: 'team/app', action: 'pull' }, true],
    ['read', { type: 'repository', name: 'team/app', action: 'push' }, false],
    ['read', { type: 'repository', name: 'team/app', action: 'delete' }, false],
    ['write', { type: 'repository', name: 'team/app', action: 'pull' }, true],
    ['write', { type: 'repository', name: 'team/app', action: 'push' }, true],
    ['write', { type: 'repository', name: 'team/app', action: 'delete' }, false],
    ['delete', { type: 'repository', name: 'team/app', action: 'delete' }, true],
    ['delete', { type: 'repository', name: 'team/app', action: 'pull' }, false],
    ['write', { type: 'repository', name: 'team/app2', action: 'push' }, false],
    ['read', { type: 'catalog' }, false],
  ];
  for (const [access, wanted, expected] of may) {
    const what = wanted.type === 'catalog' ? 'list the catalog' : `${wanted.action} ${wanted.name}`;
    it(`for ${access} of team/app ${expected ? 'lets' : 'does not let'} ${what}`, () => {
      assert.equal(isWithin({ repository: 'team/app', access }, wanted), expected);
    });
  }
});
