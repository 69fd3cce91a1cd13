import { storageError } from '../../errors.ts';

const REFUSED = ['AccessDenied', 'Forbidden', 'InvalidAccessKeyId', 'SignatureDoesNotMatch'];

/** What a failed request to the service means: nothing that the client did, and nothing that lasts. */
export function unusable(error: unknown, bucket = ''): unknown {
  const { name } = error as Error;
  const status = (error as { $metadata?: { httpStatusCode?: number } }).$metadata?.httpStatusCode;
  const because = (why: string) =>
    storageError('STORAGE_UNWRITABLE', `the storage of this registry ${why}`, { cause: error });
  if (name === 'NoSuchBucket') return because(`has no bucket ${bucket}`);
  if (status === 403 || REFUSED.includes(name)) return because('refuses its credentials');
  if (name === 'QuotaExceeded' || name === 'XMinioStorageFull' || status === 507) {
    return storageError('STORAGE_FULL', 'the storage of this registry is full; try again later', {
      cause: error,
    });
  }
  return because('does not answer as it should; try again later');
}
