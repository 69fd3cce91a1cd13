import { readdirSync, readFileSync } from 'node:fs';

/** Ticks of the kernel's clock in a second, on every Linux that Node runs on. */
const TICKS = 100;

interface Status {
  parent: number;
  /** Seconds of processor time, with those of children that have ended. */
  cpu: number;
}

function statusOf(pid: number): Status | undefined {
  try {
    const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
    const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
    const ticks = [11, 12, 13, 14].reduce((sum, at) => sum + Number(fields[at]), 0);
    return { parent: Number(fields[1]), cpu: ticks / TICKS };
  } catch {
    return undefined;
  }
}

/** The process and all below it; nothing where there is no /proc. */
export function treeOf(root: number | undefined): number[] {
  if (root === undefined) return [];
  const children = new Map<number, number[]>();
  for (const name of entriesOf('/proc')) {
    const pid = Number(name);
    const status = Number.isInteger(pid) ? statusOf(pid) : undefined;
    if (status) children.set(status.parent, [...(children.get(status.parent) ?? []), pid]);
  }
  const found: number[] = [];
  const waiting = [root];
  for (let pid = waiting.pop(); pid !== undefined; pid = waiting.pop()) {
    found.push(pid);
    waiting.push(...(children.get(pid) ?? []));
  }
  return found;
}

function entriesOf(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

/** Seconds of processor time that the processes have used so far. */
export function cpuOf(pids: readonly number[]): number {
  return pids.reduce((sum, pid) => sum + (statusOf(pid)?.cpu ?? 0), 0);
}

/** Resident memory in MiB; a page that several share counts for each. */
export function residentMib(pids: readonly number[]): number {
  return sumMib(pids, 'status', /VmRSS:\s+(\d+)/);
}

/** The same; a page that several share is split between them. */
export function sharedMib(pids: readonly number[]): number {
  return sumMib(pids, 'smaps_rollup', /Pss:\s+(\d+)/);
}

function sumMib(pids: readonly number[], file: string, field: RegExp): number {
  let kib = 0;
  for (const pid of pids) {
    try {
      const text = readFileSync(`/proc/${pid}/${file}`, 'latin1');
      kib += Number(field.exec(text)?.[1] ?? 0);
    } catch {
      // It has ended.
    }
  }
  return kib / 1024;
}

/** Seconds that all processors together were busy; undefined where there is no /proc. */
export function machineCpu(): number | undefined {
  try {
    const [line = ''] = readFileSync('/proc/stat', 'latin1').split('\n', 1);
    const fields = line.trim().split(/\s+/).slice(1).map(Number);
    return [0, 1, 2, 5, 6, 7].reduce((sum, at) => sum + (fields[at] ?? 0), 0) / TICKS;
  } catch {
    return undefined;
  }
}
