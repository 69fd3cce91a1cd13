import type { StorageDriver } from '../driver.ts';
import { checked } from './checked.ts';
import { FilesystemDriver, type FilesystemOptions } from './filesystem.ts';
import { MemoryDriver } from './memory.ts';

/** Which backend keeps the content. */
export type DriverOptions = ({ kind: 'filesystem' } & FilesystemOptions) | { kind: 'memory' };

/** The driver that the options name, behind the check of its paths. */
export function createDriver(options: DriverOptions): StorageDriver {
  return checked(options.kind === 'memory' ? new MemoryDriver() : new FilesystemDriver(options));
}
