import { Readable } from 'node:stream';
import type { ByteRange, FileInfo, PutOptions, StorageDriver, Tap } from '../driver.ts';
import { ConditionFailedError, PathNotFoundError } from '../errors.ts';

interface File {
  chunks: Buffer[];
  size: number;
  modified: number;
}

type Directory = Map<string, Entry>;
type Entry = { file: File } | { directory: Directory };

/** Keeps everything in this process: for tests and throw-away registries. */
export class MemoryDriver implements StorageDriver {
  readonly name = 'memory';
  readonly #root: Directory = new Map();

  async get(path: string): Promise<Buffer> {
    const file = this.#file(path);
    return Buffer.concat(file.chunks, file.size);
  }

  async put(path: string, content: Uint8Array | string, options: PutOptions = {}): Promise<void> {
    const bytes = Buffer.from(content);
    const { condition, after } = options;
    await after;
    const entry = this.#find(path);
    const present = entry !== undefined && 'file' in entry ? entry.file : undefined;
    if (condition === 'absent' && present) throw new ConditionFailedError(path);
    if (typeof condition === 'object') {
      const same = present && Buffer.concat(present.chunks).equals(condition.unchanged);
      if (!same) throw new ConditionFailedError(path);
    }
    this.#set(path, { chunks: [bytes], size: bytes.length, modified: Date.now() });
  }

  async read(path: string, range?: ByteRange): Promise<Readable> {
    const file = this.#file(path);
    const chunks = range ? slice(file.chunks, range) : [...file.chunks];
    return Readable.from(chunks, { objectMode: false });
  }

  async append(path: string, offset: number, source: Readable, tap?: Tap): Promise<number> {
    let file = this.#find(path) ? this.#file(path) : undefined;
    if ((file?.size ?? 0) !== offset) throw new ConditionFailedError(path);
    if (!file) {
      file = { chunks: [], size: 0, modified: Date.now() };
      this.#set(path, file);
    }
    for await (const chunk of source as AsyncIterable<Buffer>) {
      await tap?.(chunk);
      file.chunks.push(Buffer.from(chunk));
      file.size += chunk.length;
      file.modified = Date.now();
    }
    return file.size;
  }

  async commit(path: string): Promise<void> {
    this.#file(path);
  }

  async stat(path: string): Promise<FileInfo> {
    const entry = this.#find(path);
    if (!entry) throw new PathNotFoundError(path);
    if ('directory' in entry) return { size: 0, modified: 0, directory: true };
    return { size: entry.file.size, modified: entry.file.modified, directory: false };
  }

  async *list(path: string): AsyncIterable<string> {
    const entry = this.#find(path);
    if (entry && 'directory' in entry) yield* [...entry.directory.keys()].sort();
  }

  async move(from: string, to: string): Promise<void> {
    const file = this.#file(from);
    await this.delete(from);
    this.#set(to, file);
  }

  async delete(path: string): Promise<void> {
    const { parent, name } = this.#parent(path, false);
    parent?.delete(name);
  }

  #file(path: string): File {
    const entry = this.#find(path);
    if (!entry || !('file' in entry)) throw new PathNotFoundError(path);
    return entry.file;
  }

  #find(path: string): Entry | undefined {
    if (path === '/') return { directory: this.#root };
    const { parent, name } = this.#parent(path, false);
    return parent?.get(name);
  }

  #set(path: string, file: File): void {
    const { parent, name } = this.#parent(path, true);
    parent?.set(name, { file });
  }

  #parent(path: string, create: boolean): { parent: Directory | undefined; name: string } {
    const segments = path.split('/').slice(1);
    const name = segments.pop() ?? '';
    let parent: Directory | undefined = this.#root;
    for (const segment of segments) {
      const entry: Entry | undefined = parent.get(segment);
      if (entry && 'directory' in entry) {
        parent = entry.directory;
      } else if (create && !entry) {
        const directory: Directory = new Map();
        parent.set(segment, { directory });
        parent = directory;
      } else {
        return { parent: undefined, name };
      }
    }
    return { parent, name };
  }
}

function slice(chunks: Buffer[], { start, end }: ByteRange): Buffer[] {
  const parts: Buffer[] = [];
  let position = 0;
  for (const chunk of chunks) {
    const from = Math.max(start - position, 0);
    const to = Math.min(end + 1 - position, chunk.length);
    if (from < to) parts.push(chunk.subarray(from, to));
    position += chunk.length;
  }
  return parts;
}
