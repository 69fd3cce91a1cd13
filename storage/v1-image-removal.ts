import { Catalog } from './catalog.ts';
import type { StorageDriver } from './driver.ts';
import { ifFound } from './errors.ts';
import { gather } from './listings.ts';
import { isRepositoryName, type V1ImageId } from './names.ts';
import { v1ClaimsRoot, v1HoldersRoot, v1ImageRecord, v1List, v1Members } from './paths.ts';
import { updateRecord } from './records.ts';
import type { V1ListEntry } from './v1-store.ts';

/**
 * Removes a pushed image. Who might read it goes first, or the next image of that ID would be theirs as well; with its
 * record the image is gone.
 */
export async function removeV1Image(driver: StorageDriver, id: V1ImageId): Promise<void> {
  for (const segment of await gather(driver.list(v1HoldersRoot(id)))) {
    const name = segment.replaceAll('~', '/');
    if (!isRepositoryName(name)) continue;
    await updateRecord<V1ImageId[]>(driver, v1Members(name), (members) =>
      members?.includes(id) ? members.filter((each) => each !== id) : undefined,
    );
  }
  await driver.delete(v1HoldersRoot(id));
  await driver.delete(v1ClaimsRoot(id));
  await driver.delete(v1ImageRecord(id));
}

/** Takes images that were removed out of the lists of all repositories. */
export async function unlistV1Images(
  driver: StorageDriver,
  gone: ReadonlySet<V1ImageId>,
): Promise<void> {
  for await (const name of new Catalog(driver).everywhere()) {
    if (!(await ifFound(driver.stat(v1List(name))))) continue;
    await updateRecord<V1ListEntry[]>(driver, v1List(name), (list) =>
      list?.some(({ id }) => gone.has(id)) ? list.filter(({ id }) => !gone.has(id)) : undefined,
    );
  }
}
