import assert from 'node:assert/strict';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { packageRoot } from '../../src/package-root.ts';
import { run } from './support/command.ts';
import { Workspace } from './support/workspace.ts';

const deploy = join(packageRoot(), 'deploy');

/** A copy of a file of `deploy/` with one change, in `folder`. */
async function changed(folder: string, name: string, from: string, to: string): Promise<string> {
  const text = await readFile(join(deploy, name), 'utf8');
  assert.ok(text.includes(from));
  const file = join(folder, 'changed.yml');
  await writeFile(file, text.replace(from, to));
  return file;
}

describe('deploy/docker-compose.yml', () => {
  it("is what docker's own loader and schema understand", async () => {
    const said = await run('deploycheck', ['compose', join(deploy, 'docker-compose.yml')]);
    assert.equal(said.toString(), 'service isthmus\nservice nginx\n');
    const work = await Workspace.create();
    try {
      const wrong = await changed(work.path, 'docker-compose.yml', 'cap_drop', 'cap_drp');
      await assert.rejects(run('deploycheck', ['compose', wrong]), /cap_drp/);
    } finally {
      await work.end();
    }
  });
});

describe('deploy/kubernetes', () => {
  it("decodes strictly into the API's own types", async () => {
    const folder = join(deploy, 'kubernetes');
    const files = (await readdir(folder)).sort().map((name) => join(folder, name));
    assert.equal(files.length, 3);
    const said = await run('deploycheck', ['kubernetes', ...files]);
    assert.deepEqual(said.toString().trim().split('\n'), [
      'object Ingress',
      'object PersistentVolumeClaim',
      'object Deployment',
      'object Service',
      'object NetworkPolicy',
    ]);
    const work = await Workspace.create();
    try {
      const name = 'kubernetes/isthmus.yaml';
      const unknown = await changed(work.path, name, 'replicas: 1', 'replica: 1');
      await assert.rejects(
        run('deploycheck', ['kubernetes', unknown]),
        /unknown field "spec.replica"/,
      );
      const mistyped = await changed(work.path, name, 'runAsUser: 1000', 'runAsUser: node');
      await assert.rejects(run('deploycheck', ['kubernetes', mistyped]), /runAsUser|int64/);
    } finally {
      await work.end();
    }
  });
});

describe('deploy/isthmus.service', () => {
  it('is what systemd understands, and well hardened', async () => {
    const work = await Workspace.create();
    try {
      const unit = await readFile(join(packageRoot(), 'deploy/isthmus.service'), 'utf8');
      const file = join(work.path, 'isthmus.service');
      await writeFile(file, unit.replace('/usr/bin/node', process.execPath));
      const said = await run('systemd-analyze', ['verify', file]);
      assert.equal(said.toString(), '');
      const score = await run('systemd-analyze', ['security', '--offline=yes', file]);
      const exposure = /Overall exposure level for isthmus\.service: ([\d.]+)/.exec(
        score.toString(),
      );
      assert.ok(Number(exposure?.[1]) < 2, `exposure ${exposure?.[1]}`);
    } finally {
      await work.end();
    }
  });
});
