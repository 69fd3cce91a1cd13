import assert from 'node:assert/strict';
import { chmodSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { HtpasswdFile } from '../../../src/auth/htpasswd.ts';
import { dummyHash, kindOfHash, verifyPassword } from '../../../src/auth/password-hash.ts';
import { ANN_CHANGED, HTPASSWD, recordingLog, temporaryFile } from '../../support/auth-registry.ts';

const hashOf = (line: string) => line.slice(line.indexOf(':') + 1);
const text = (...lines: string[]) => `${lines.join('\n')}\n`;

describe('hashes in htpasswd files', () => {
  const rows: [name: keyof typeof HTPASSWD, kind: string | undefined][] = [
    ['ann', 'bcrypt'],
    ['bob', 'apr1'],
    ['carol', 'sha'],
  ];
  for (const [name, kind] of rows) {
    it(`lets the right password of ${kind} in, and no other`, async () => {
      const hash = hashOf(HTPASSWD[name]);
      assert.equal(kindOfHash(hash), kind);
      assert.equal(await verifyPassword(`secret-${name}`, hash), true);
      for (const wrong of ['', `secret-${name} `, `Secret-${name}`, hash]) {
        assert.equal(await verifyPassword(wrong, hash), false, wrong);
      }
    });
  }

  for (const name of ['dave', 'erin', 'fred'] as const) {
    it(`lets nobody in by the unsupported hash of ${name}`, async () => {
      const hash = hashOf(HTPASSWD[name]);
      assert.equal(kindOfHash(hash), undefined);
      assert.equal(await verifyPassword(`secret-${name}`, hash), false);
    });
  }

  it('takes bcrypt of every age: 2a, 2b, 2y', async () => {
    const hash = hashOf(HTPASSWD.ann);
    for (const prefix of ['$2a$', '$2b$', '$2y$']) {
      assert.equal(await verifyPassword('secret-ann', hash.replace('$2y$', prefix)), true, prefix);
    }
  });

  it('computes apr1 for passwords of every length, as htpasswd -m does', async () => {
    const rows: [string, string][] = [
      ['', '$apr1$abcdefgh$L.PT565ESX4Tp2bqNs7Ie.'],
      ['p', '$apr1$abcdefgh$C5orPJWI8v4Qy8kOPQ1vA.'],
      ['exactly 16 bytes', '$apr1$abcdefgh$tL28gERjEgY5SQLriA/q70'],
      ['pässwörd that is longer than sixteen', '$apr1$x$k9aQrHgpIJhKLjV8Q3Eid0'],
    ];
    for (const [password, hash] of rows) {
      assert.equal(await verifyPassword(password, hash), true, password);
    }
  });

  it('burns as much time for a dummy hash as for a real one of the same cost', async () => {
    const time = async (hash: string) => {
      const started = performance.now();
      assert.equal(await verifyPassword('secret', hash), false);
      return performance.now() - started;
    };
    assert.ok((await time(dummyHash(10))) > 8 * (await time(dummyHash(4))));
  });
});

describe('an htpasswd file', () => {
  it('knows its accounts, whatever stands between them', () => {
    const lines = ['# ours', '', ` ${HTPASSWD.ann} `, ':nobody', 'no colon', HTPASSWD.bob];
    const path = temporaryFile('htpasswd', `\uFEFF${lines.join('\r\n')}`);
    const file = new HtpasswdFile(path, recordingLog());
    assert.equal(file.hashOf('ann'), hashOf(HTPASSWD.ann));
    assert.equal(file.hashOf('bob'), hashOf(HTPASSWD.bob));
    for (const none of ['', 'no colon', 'nobody', 'constructor', '# ours']) {
      assert.equal(file.hashOf(none), undefined, none);
    }
  });

  it('names accounts with weak or unusable hashes when it is read', () => {
    const log = recordingLog();
    new HtpasswdFile(temporaryFile('htpasswd', text(...Object.values(HTPASSWD))), log);
    const warned = log.lines.filter(({ level }) => level === 'warn');
    assert.deepEqual(
      warned.map(({ fields }) => fields.users),
      [
        ['bob', 'carol'],
        ['dave', 'erin', 'fred'],
      ],
    );
    assert.match(warned[0]?.event ?? '', /htpasswd -B/);
    assert.doesNotMatch(JSON.stringify(log.lines), /apr1\$|secret-fred/);
  });

  it('says how to make the file when it is not there', () => {
    assert.throws(
      () => new HtpasswdFile('/nowhere/htpasswd', recordingLog()),
      /auth\.htpasswd\.path: .*htpasswd -Bc \/nowhere\/htpasswd NAME/,
    );
  });

  it('says whose the file must be when it may not be read', () => {
    const path = temporaryFile('htpasswd', text(HTPASSWD.ann));
    chmodSync(path, 0);
    const root = process.geteuid?.() === 0;
    if (root) process.seteuid?.(65_534);
    try {
      assert.throws(() => new HtpasswdFile(path, recordingLog()), /EACCES.*chown \d+ /);
    } finally {
      if (root) process.seteuid?.(0);
    }
  });

  it('is read again once it has changed', () => {
    const path = temporaryFile('htpasswd', text(HTPASSWD.ann));
    const start = Date.now();
    const file = new HtpasswdFile(path, recordingLog(), start);
    writeFileSync(path, text(ANN_CHANGED, HTPASSWD.bob));
    assert.equal(file.refresh(start + 500), false, 'looks are a second apart');
    assert.equal(file.refresh(start + 1001), true);
    assert.equal(file.hashOf('ann'), hashOf(ANN_CHANGED));
    assert.equal(file.hashOf('bob'), hashOf(HTPASSWD.bob));
    assert.equal(file.refresh(start + 2100), false, 'the same text is no change');
  });

  it('sees a change of the same length within one tick of the clock', () => {
    const path = temporaryFile('htpasswd', '');
    const stamp = () => JSON.stringify(statSync(path), ['mtimeMs', 'ctimeMs', 'size', 'ino']);
    let unchanged = false;
    for (let attempt = 0; attempt < 500 && !unchanged; attempt += 1) {
      writeFileSync(path, 'ann:{SHA}AAAAAAAAAAAAAAAAAAAAAAAAAAA=\n');
      const before = stamp();
      const now = Date.now();
      const file = new HtpasswdFile(path, recordingLog(), now);
      writeFileSync(path, 'ann:{SHA}BBBBBBBBBBBBBBBBBBBBBBBBBBB=\n');
      unchanged = stamp() === before;
      assert.equal(file.refresh(now + 1001), true);
      assert.equal(file.hashOf('ann'), '{SHA}BBBBBBBBBBBBBBBBBBBBBBBBBBB=');
    }
  });

  it('keeps its accounts while the file is away, and says so once', () => {
    const path = temporaryFile('htpasswd', text(HTPASSWD.ann));
    const log = recordingLog();
    const start = Date.now();
    const file = new HtpasswdFile(path, log, start);
    rmSync(path);
    assert.equal(file.refresh(start + 1001), false);
    assert.equal(file.refresh(start + 2002), false);
    assert.equal(file.hashOf('ann'), hashOf(HTPASSWD.ann));
    assert.equal(log.lines.filter(({ level }) => level === 'warn').length, 1);
    writeFileSync(`${path}.new`, text(ANN_CHANGED));
    renameSync(`${path}.new`, path);
    assert.equal(file.refresh(start + 3003), true);
    assert.equal(file.hashOf('ann'), hashOf(ANN_CHANGED));
  });
});
