import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { FilesystemDriver } from '../../storage/drivers/filesystem.ts';
import type { V1ImageId } from '../../storage/names.ts';
import { v1ClaimsRoot, v1HoldersRoot, v1ImageRecord, v1ReadersRoot } from '../../storage/paths.ts';
import { upgradeV1Layout } from '../../storage/v1-layout-upgrade.ts';
import { type RunningServer, serveApp } from '../support/app-server.ts';
import { makeV1Chain } from '../support/images.ts';
import { V1Client } from '../support/v1-client.ts';

describe('V1 images of earlier builds', () => {
  let root: string;
  let driver: FilesystemDriver;
  let server: RunningServer;
  const chain = makeV1Chain({ seed: 91, layers: 3 });
  before(async () => {
    root = await mkdtemp(join(tmpdir(), 'isthmus-upgrade-'));
    driver = new FilesystemDriver({ root });
    server = await serveApp(driver);
    await new V1Client(server.url).push('team/old', 'latest', chain);
    await server.stop();
    for (const { id } of chain) await age(id as V1ImageId);
    // A push that was never finished.
    await driver.put(`${oldFolder('a'.repeat(64))}/staging/x/json`, '{}');
  });
  after(() => rm(root, { recursive: true }));

  /** Puts an image where it lay. */
  async function age(id: V1ImageId): Promise<void> {
    const record = await driver.get(v1ImageRecord(id));
    const end = record.indexOf('\n');
    const { ancestry, checksums, ...layer } = JSON.parse(record.subarray(0, end).toString());
    const files = { ancestry, checksum: checksums, layer };
    for (const [name, content] of Object.entries(files)) {
      await driver.put(`${oldFolder(id)}/${name}`, JSON.stringify(content));
    }
    await driver.put(`${oldFolder(id)}/json`, record.subarray(end + 1));
    for (const [name, rootOf] of Object.entries({
      claims: v1ClaimsRoot,
      holders: v1HoldersRoot,
      readers: v1ReadersRoot,
    })) {
      for await (const file of driver.list(rootOf(id))) {
        await driver.move(`${rootOf(id)}/${file}`, `${oldFolder(id)}/${name}/${file}`);
      }
    }
    await driver.delete(v1ImageRecord(id));
  }

  it('are moved to where they lie today, once, and are pulled as before', async () => {
    const moved = await Promise.all([upgradeV1Layout(driver), upgradeV1Layout(driver)]);
    assert.equal(moved[0] + moved[1], 3);
    assert.equal(await upgradeV1Layout(driver), 0);
    assert.ok(!existsSync(join(root, oldFolder('a'.repeat(64)))));
    server = await serveApp(driver);
    try {
      const pulled = await new V1Client(server.url).pull('team/old', 'latest');
      assert.deepEqual(
        pulled.images.map(({ id }) => id),
        chain.map(({ id }) => id),
      );
      for (const { id } of chain) {
        const holders: string[] = [];
        for await (const name of driver.list(v1HoldersRoot(id as V1ImageId))) holders.push(name);
        assert.deepEqual(holders, ['team~old']);
      }
    } finally {
      await server.stop();
    }
  });
});

function oldFolder(id: string): string {
  return `/docker/registry/v1/images/${id.slice(0, 2)}/${id}`;
}
