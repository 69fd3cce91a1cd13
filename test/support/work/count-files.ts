import fs from 'node:fs';
import type { FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { count, isNoted, type Kind, note } from './tally.ts';

type Callable = (...parameters: unknown[]) => unknown;
type Functions = Record<string, Callable | undefined>;

/** What a call of each function is counted as; the same for its three forms. */
const CALLS: Record<string, Kind[]> = {
  open: ['opens'],
  readFile: ['opens', 'reads'],
  writeFile: ['opens', 'writes'],
  appendFile: ['opens', 'writes'],
  read: ['reads'],
  readv: ['reads'],
  write: ['writes'],
  writev: ['writes'],
  stat: ['stats'],
  lstat: ['stats'],
  fstat: ['stats'],
  access: ['stats'],
  exists: ['stats'],
  fsync: ['flushes'],
  fdatasync: ['flushes'],
  sync: ['flushes'],
  datasync: ['flushes'],
  rename: ['renames'],
  link: ['links'],
  symlink: ['links'],
  unlink: ['removals'],
  rm: ['removals'],
  rmdir: ['removals'],
  mkdir: ['directories'],
  readdir: ['listings'],
  opendir: ['listings'],
};

/** Calls that Node makes for a call of ours are not ours. */
let depth = 0;

/** From now on, every call of `node:fs` on a file below `root` is counted. */
export async function countFiles(root: string): Promise<void> {
  const ofStore = (target: unknown) => isOfStore(target, root);
  for (const [name, kinds] of Object.entries(CALLS)) {
    wrap(fs as unknown as Functions, `${name}Sync`, kinds, ofStore, synchronously);
    wrap(fs as unknown as Functions, name, kinds, ofStore, byCallback);
    wrap(fs.promises as unknown as Functions, name, kinds, ofStore, byPromise);
  }
  await countHandles(ofStore);
  syncBuiltinESMExports();
}

function isOfStore(target: unknown, root: string): boolean {
  if (typeof target === 'number') return isNoted(target);
  if (target instanceof URL) return target.pathname.startsWith(root);
  return typeof target === 'string' && target.startsWith(root);
}

type Form = (
  call: () => unknown,
  parameters: unknown[],
  done: (result: unknown) => void,
) => unknown;

const synchronously: Form = (call, _parameters, done) => {
  const result = call();
  done(result);
  return result;
};

const byCallback: Form = (call, parameters, done) => {
  const callback = parameters.at(-1);
  if (typeof callback === 'function') {
    parameters[parameters.length - 1] = (error: unknown, ...results: unknown[]) => {
      if (!error) done(results[0]);
      callback(error, ...results);
    };
  }
  return call();
};

const byPromise: Form = (call, _parameters, done) => {
  const result = call();
  if (result instanceof Promise) result.then(done, () => undefined);
  return result;
};

function wrap(
  functions: Functions,
  name: string,
  kinds: Kind[],
  ofStore: (target: unknown) => boolean,
  form: Form,
): void {
  const original = functions[name];
  if (typeof original !== 'function') return;
  const counted = function (this: unknown, ...parameters: unknown[]) {
    const [target] = parameters;
    const counts = depth === 0 && ofStore(target);
    // A file that is open already is not opened again.
    if (counts)
      tally(typeof target === 'number' ? kinds.filter((kind) => kind !== 'opens') : kinds);
    depth += 1;
    try {
      return form(
        () => original.apply(this, parameters),
        parameters,
        (result) => {
          if (kinds[0] === 'opens' && kinds.length === 1) noteOpened(result, ofStore(target));
          else if (counts) tallyBytes(kinds, parameters, result);
        },
      );
    } finally {
      depth -= 1;
    }
  };
  functions[name] = Object.assign(counted, original);
}

function noteOpened(opened: unknown, ofStore: boolean): void {
  if (typeof opened === 'number') note(opened, ofStore);
  else if (opened instanceof Object && 'fd' in opened) note(Number(opened.fd), ofStore);
}

function tally(kinds: Kind[]): void {
  for (const kind of kinds) count(kind);
}

function tallyBytes(kinds: Kind[], parameters: unknown[], result: unknown): void {
  if (kinds.includes('reads')) count('readBytes', sizeOf(result));
  if (!kinds.includes('writes')) return;
  // Whole files are written from what was given; nothing comes back.
  count('writtenBytes', kinds.includes('opens') ? sizeOf(parameters[1]) : sizeOf(result));
}

/** A number of bytes, the bytes themselves, or what a FileHandle gives. */
function sizeOf(value: unknown): number {
  if (typeof value === 'number') return value;
  if (typeof value === 'string') return Buffer.byteLength(value);
  if (ArrayBuffer.isView(value)) return value.byteLength;
  if (!(value instanceof Object)) return 0;
  if ('bytesRead' in value) return Number(value.bytesRead);
  if ('bytesWritten' in value) return Number(value.bytesWritten);
  return 0;
}

/** FileHandle has no public constructor; one that is opened shows its prototype. */
async function countHandles(ofStore: (target: unknown) => boolean): Promise<void> {
  const handle = await fs.promises.open(process.execPath);
  const prototype = Object.getPrototypeOf(handle) as Functions;
  await handle.close();
  for (const [name, kinds] of Object.entries(CALLS)) {
    const original = prototype[name];
    if (typeof original !== 'function') continue;
    prototype[name] = function (this: FileHandle, ...parameters: unknown[]) {
      const counts = ofStore(this.fd);
      if (counts) tally(kinds.filter((kind) => kind !== 'opens'));
      return byPromise(
        () => original.apply(this, parameters),
        parameters,
        (result) => counts && tallyBytes(kinds, [this, ...parameters], result),
      );
    };
  }
}
