import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** A folder of one test file, and what must be ended before it can go. */
export class Workspace {
  readonly path: string;
  readonly #endings: (() => Promise<unknown>)[] = [];

  private constructor(path: string) {
    this.path = path;
  }

  static async create(): Promise<Workspace> {
    return new Workspace(await mkdtemp(join(tmpdir(), 'isthmus-e2e-')));
  }

  /** Makes a folder in it. */
  async folder(name: string): Promise<string> {
    const path = join(this.path, name);
    await mkdir(path, { recursive: true });
    return path;
  }

  /** Has `thing` stopped at the end; gives it back. */
  keep<T extends { stop(): Promise<unknown> }>(thing: T): T {
    this.#endings.push(() => thing.stop());
    return thing;
  }

  /** Stops what was kept, last first, and removes the folder. */
  async end(): Promise<void> {
    for (const ending of this.#endings.reverse()) await ending();
    await rm(this.path, { recursive: true, force: true, maxRetries: 5 });
  }
}
