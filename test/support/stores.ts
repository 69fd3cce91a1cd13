import type { Readable } from 'node:stream';
import type { TestContext } from 'node:test';
import { ContentStore, type ContentStoreOptions } from '../../storage/content-store.ts';
import { createDriver } from '../../storage/drivers/create-driver.ts';
import type { V1Reader } from '../../storage/v1-images.ts';
import { temporaryDirectory } from './temporary.ts';

/** Sees and may do everything. */
export const everything: V1Reader = { unrestricted: true, mayPull: () => true, claimant: '' };

/** A store in a directory, closed when the test ends. */
export function directoryStore(
  context: TestContext,
  root = temporaryDirectory(context),
  options: ContentStoreOptions = {},
): ContentStore {
  const store = new ContentStore(createDriver({ kind: 'filesystem', root, fsync: false }), options);
  context.after(() => store.close());
  return store;
}

/** A store in memory. */
export function memoryStore(context: TestContext): ContentStore {
  const store = new ContentStore(createDriver({ kind: 'memory' }));
  context.after(() => store.close());
  return store;
}

export async function bytesOf(source: Readable): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for await (const chunk of source) chunks.push(Buffer.from(chunk as Buffer));
  return Buffer.concat(chunks);
}
