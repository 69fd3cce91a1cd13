import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { availableParallelism, cpus, freemem, release, totalmem, type } from 'node:os';

/** What figures depend on, and nothing that tells whose machine it is. */
export interface Machine {
  processor: string;
  cores: number;
  memoryGib: number;
  kernel: string;
  fileSystem: string;
  node: string;
  isthmus: string;
  /** Day, as YYYY-MM-DD. */
  date: string;
}

/** `folder` is where the store lies. */
export function describeMachine(folder: string): Machine {
  const found = spawnSync('stat', ['-f', '-c', '%T', folder], { encoding: 'utf8' });
  const manifest = new URL('../../package.json', import.meta.url);
  const { version } = JSON.parse(readFileSync(manifest, 'utf8')) as { version: string };
  return {
    processor: cpus()[0]?.model.trim() ?? 'unknown',
    cores: availableParallelism(),
    memoryGib: Math.round(totalmem() / 2 ** 30),
    kernel: `${type()} ${release().replace(/-.*/, '')}`,
    fileSystem: found.stdout?.trim() || 'unknown',
    node: process.version,
    isthmus: version,
    date: new Date().toISOString().slice(0, 10),
  };
}

/**
 * Before a sample that writes: flushes what the one before has left, and touches as much memory as the sample will fill, so
 * that a virtual machine's host has it ready and no server is charged for that.
 */
export function settle(bytes: number): void {
  spawnSync('sync', { timeout: 30_000 });
  const blocks = Math.ceil(Math.min(bytes, freemem() / 2) / 1e8);
  const script = `for (let i = 0, l = []; i < ${blocks}; i++) l.push(Buffer.alloc(1e8, 1))`;
  spawnSync(process.execPath, ['-e', script], { timeout: 30_000 });
}
