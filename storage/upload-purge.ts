import type { ContentStore } from './content-store.ts';
import type { StorageDriver } from './driver.ts';
import { ifFound } from './errors.ts';
import { takeLease } from './lease.ts';
import { isUploadId, type RepositoryName, type UploadId } from './names.ts';
import { uploadDirectory, uploadFile, uploadsRoot } from './paths.ts';

export interface PurgeOptions {
  /** Uploads that nothing was written to for longer are given up. Milliseconds. */
  ageMs: number;
  /** Tells what would be deleted and deletes nothing. */
  dryRun: boolean;
}

export interface StaleUpload {
  repository: RepositoryName;
  id: UploadId;
  /** When it was begun or last written to, in milliseconds since the epoch. */
  touched: number;
}

/**
 * Deletes uploads that their clients have given up (distribution's `uploadpurging`, v2.md 3), and gives them. An
 * upload that a request writes to at this moment stays, whatever its age.
 */
export async function purgeUploads(
  content: ContentStore,
  { ageMs, dryRun }: PurgeOptions,
): Promise<StaleUpload[]> {
  const { driver } = content;
  const oldest = Date.now() - ageMs;
  const purged: StaleUpload[] = [];
  for await (const repository of content.catalog.everywhere()) {
    for await (const id of driver.list(uploadsRoot(repository))) {
      if (!isUploadId(id)) continue;
      const touched = await lastTouched(driver, repository, id);
      if (touched === undefined || touched > oldest) continue;
      if (dryRun || (await drop(driver, repository, id))) purged.push({ repository, id, touched });
    }
  }
  return purged;
}

/**
 * The latest of what `startedat` says and when the data was written. Without either, as after a crash of another
 * registry, the directory's own time counts; undefined when there is nothing left.
 */
async function lastTouched(
  driver: StorageDriver,
  repository: RepositoryName,
  id: UploadId,
): Promise<number | undefined> {
  const [started, data, directory] = await Promise.all([
    ifFound(driver.get(uploadFile(repository, id, 'startedat'))),
    ifFound(driver.stat(uploadFile(repository, id, 'data'))),
    ifFound(driver.stat(uploadDirectory(repository, id))),
  ]);
  const startedAt = Date.parse(started?.toString().trim() ?? '');
  const times = [startedAt, data?.modified ?? Number.NaN].filter((time) => !Number.isNaN(time));
  return times.length > 0 ? Math.max(...times) : directory?.modified;
}

/** False when somebody is writing to the upload. */
async function drop(
  driver: StorageDriver,
  repository: RepositoryName,
  id: UploadId,
): Promise<boolean> {
  const lease = await takeLease(driver, uploadFile(repository, id, 'lock'));
  if (!lease) return false;
  await driver.delete(uploadDirectory(repository, id), { durable: false });
  await lease.release();
  return true;
}
