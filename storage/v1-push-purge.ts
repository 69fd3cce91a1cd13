import type { StorageDriver } from './driver.ts';
import { ifFound } from './errors.ts';
import { type Lease, takeLease } from './lease.ts';
import { isImageId, type V1ImageId } from './names.ts';
import {
  v1ImportLock,
  v1Staged,
  v1StagingDirectory,
  v1StagingFile,
  v1StagingRoot,
} from './paths.ts';
import type { PurgeOptions } from './upload-purge.ts';

/** A push of a V1 image that its client has given up. */
export interface StalePush {
  imageId: V1ImageId;
  /** When it was last written to, in milliseconds since the epoch. */
  touched: number;
}

/**
 * Deletes what interrupted V1 pushes have left (v1.md B17), and gives it. A push that is written to, completed or
 * imported at this moment stays, whatever its age.
 */
export async function purgeV1Pushes(
  driver: StorageDriver,
  { ageMs, dryRun }: PurgeOptions,
): Promise<StalePush[]> {
  const oldest = Date.now() - ageMs;
  const purged: StalePush[] = [];
  for await (const name of driver.list(v1StagingRoot)) {
    const { id: imageId, claimant } = v1Staged(name);
    if (!isImageId(imageId)) continue;
    const touched = await lastTouched(driver, imageId, claimant);
    if (touched === undefined || touched > oldest) continue;
    if (dryRun || (await drop(driver, imageId, claimant, oldest))) {
      purged.push({ imageId, touched });
    }
  }
  return purged;
}

/** Undefined when nothing is staged. */
async function lastTouched(
  driver: StorageDriver,
  id: V1ImageId,
  claimant: string,
): Promise<number | undefined> {
  const files = await Promise.all(
    (['json', 'data', 'received'] as const).map((file) =>
      ifFound(driver.stat(v1StagingFile(id, claimant, file))),
    ),
  );
  const times = files.flatMap((file) => (file ? [file.modified] : []));
  return times.length > 0 ? Math.max(...times) : undefined;
}

/** False when somebody is at work on the image, or was since. */
async function drop(
  driver: StorageDriver,
  id: V1ImageId,
  claimant: string,
  oldest: number,
): Promise<boolean> {
  const leases: Lease[] = [];
  try {
    for (const lock of [v1ImportLock(id), v1StagingFile(id, claimant, 'lock')]) {
      const lease = await takeLease(driver, lock);
      if (!lease) return false;
      leases.push(lease);
    }
    const touched = await lastTouched(driver, id, claimant);
    if (touched === undefined || touched > oldest) return false;
    await driver.delete(v1StagingDirectory(id, claimant), { durable: false });
    return true;
  } finally {
    for (const lease of leases) await lease.release();
  }
}
