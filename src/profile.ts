import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { Session } from 'node:inspector/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { writeHeapSnapshot } from 'node:v8';

/** Where a process spends its time, or what its memory holds. */
export type ProfileRequest = { kind: 'cpu'; seconds: number } | { kind: 'heap' };

let running = false;

/**
 * Profiles this process, in the forms that Chrome's developer tools read. Gives the path of a file in the system's
 * folder for temporary files, readable by this user only, which is for the caller to remove. Throws while another runs.
 */
export async function profile(wanted: ProfileRequest): Promise<string> {
  if (running) throw new Error('another profile is being made');
  running = true;
  try {
    const file = join(tmpdir(), `isthmus-${randomUUID()}.${suffixOf(wanted)}`);
    // Made before, so that what V8 writes into it is nobody else's to read.
    await writeFile(file, '', { mode: 0o600, flag: 'wx' });
    if (wanted.kind === 'heap') writeHeapSnapshot(file);
    else await writeFile(file, await cpuProfile(wanted.seconds));
    return file;
  } finally {
    running = false;
  }
}

/** How such files are called: `heapsnapshot`, `cpuprofile`. */
export function suffixOf({ kind }: ProfileRequest): string {
  return kind === 'heap' ? 'heapsnapshot' : 'cpuprofile';
}

async function cpuProfile(seconds: number): Promise<string> {
  const session = new Session();
  session.connect();
  try {
    await session.post('Profiler.enable');
    await session.post('Profiler.start');
    await sleep(seconds * 1000);
    const { profile } = await session.post('Profiler.stop');
    return JSON.stringify(profile);
  } finally {
    session.disconnect();
  }
}
