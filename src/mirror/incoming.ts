import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { StorageDriver } from '../../storage/driver.ts';
import { type Lease, takeLease } from '../../storage/lease.ts';
import { isImageId, type V1ImageId } from '../../storage/names.ts';
import { mirrorIncoming, mirrorIncomingLock, mirrorIncomingRoot } from '../../storage/paths.ts';

/**
 * Where layers on their way from upstream land. Beside the store where that lies in local files: a layer then becomes a
 * blob by a link, and other workers read along. Elsewhere in the system's folder for temporary files (TMPDIR).
 */
export class Incoming {
  readonly #driver: StorageDriver;
  #temporary: string | undefined;

  constructor(driver: StorageDriver) {
    this.#driver = driver;
  }

  /** Whether other processes see the same files. */
  get shared(): boolean {
    return this.#driver.local !== undefined;
  }

  /** The file for a layer, in a folder that is there. */
  file(id: V1ImageId): string {
    const { local } = this.#driver;
    if (local) {
      const file = local.filename(mirrorIncoming(id));
      mkdirSync(dirname(file), { recursive: true });
      return file;
    }
    this.#temporary ??= mkdtempSync(join(tmpdir(), `${PREFIX}${process.pid}-`));
    return join(this.#temporary, id);
  }

  /** Held by the one process that fetches the layer; undefined while another does. */
  claim(id: V1ImageId): Promise<Lease | undefined> {
    return takeLease(this.#driver, mirrorIncomingLock(id));
  }

  /** Deletes what processes that were killed have left. */
  async clean(): Promise<void> {
    if (!this.shared) dropOfTheDead();
    for await (const name of this.#driver.list(mirrorIncomingRoot)) {
      if (!isImageId(name)) continue;
      const lease = await this.claim(name);
      if (!lease) continue;
      await this.#driver.delete(mirrorIncoming(name), { durable: false });
      await lease.release();
    }
  }

  close(): void {
    if (this.#temporary) rmSync(this.#temporary, { recursive: true, force: true });
  }
}

const PREFIX = 'isthmus-mirror-';

/** Folders of temporary files whose processes were killed. */
function dropOfTheDead(): void {
  for (const name of readdirSync(tmpdir())) {
    const pid = new RegExp(`^${PREFIX}(\\d+)-`).exec(name)?.[1];
    if (pid === undefined || isAlive(Number(pid))) continue;
    try {
      rmSync(join(tmpdir(), name), { recursive: true, force: true });
    } catch {
      // It belongs to somebody else.
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}
