import type { StorageDriver } from '../driver.ts';
import { checked } from './checked.ts';
import { FilesystemDriver, type FilesystemOptions } from './filesystem.ts';
import { MemoryDriver } from './memory.ts';
import type { S3Options } from './s3/s3-bucket.ts';
import { S3Driver } from './s3/s3-driver.ts';

/** Which backend keeps the content. */
export type DriverOptions =
  | ({ kind: 'filesystem' } & FilesystemOptions)
  | { kind: 'memory' }
  | ({ kind: 's3' } & S3Options);

/** The driver that the options name, behind the check of its paths. */
export function createDriver(options: DriverOptions): StorageDriver {
  return checked(bareDriver(options));
}

function bareDriver(options: DriverOptions): StorageDriver {
  switch (options.kind) {
    case 'memory':
      return new MemoryDriver();
    case 'filesystem':
      return new FilesystemDriver(options);
    case 's3':
      return new S3Driver(options);
  }
}
