import * as fs from 'node:fs';

/** Waits until all that was written to an open file or directory is on the disk. */
export function flush(fd: number): Promise<void> {
  return new Promise((done, failed) => {
    fs.fsync(fd, (error) => (error ? failed(error) : done()));
  });
}

/** As `flush`, without what only tells when a file was written. */
export function flushData(fd: number): Promise<void> {
  return new Promise((done, failed) => {
    fs.fdatasync(fd, (error) => (error ? failed(error) : done()));
  });
}
