import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';

const MAIN = join(import.meta.dirname, '../../src/main.js');

export interface Outcome {
  code: number | null;
  stdout: string;
  stderr: string;
}

/** Runs a program of ours to its end, with nothing of our own environment but PATH. */
export async function runProgram(
  words: string[],
  environment: Record<string, string> = {},
  { program = MAIN, input = '' } = {},
): Promise<Outcome> {
  const child = spawn(process.execPath, [program, ...words], {
    env: { PATH: process.env.PATH, ...environment },
  });
  const output = collect(child);
  child.stdin.end(input);
  const [code] = await once(child, 'close');
  return { code, ...output };
}

const started = new Set<ChildProcess>();
const folders: string[] = [];
// A test that fails leaves its registry behind, which would keep the runner waiting for ever.
after(() => {
  for (const child of started) child.kill('SIGKILL');
  for (const folder of folders) rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
});

/** A registry in a process of its own, on a free port; content in memory, or in a folder for several workers. */
export class RegistryProcess {
  readonly child: ChildProcess;
  readonly output: { stdout: string; stderr: string };
  readonly exited: Promise<unknown[]>;
  port = 0;
  readonly #logFile: string | undefined;

  private constructor(child: ChildProcess, logFile: string | undefined) {
    this.child = child;
    this.#logFile = logFile;
    this.output = collect(child);
    started.add(child);
    child.once('exit', () => started.delete(child));
    // Not its exit: only then is all output here.
    this.exited = once(child, 'close');
  }

  static async start(
    environment: Record<string, string> = {},
    words: string[] = [],
    { logFile }: { logFile?: string } = {},
  ): Promise<RegistryProcess> {
    const env = {
      PATH: process.env.PATH,
      SETTINGS_FLAVOR: 'test',
      REGISTRY_PORT: '0',
      LOGLEVEL: 'info',
      REGISTRY_LOG_FORMAT: 'json',
      ...(environment.GUNICORN_WORKERS !== undefined &&
        environment.STORAGE_PATH === undefined &&
        inFolder()),
      ...environment,
    };
    const registry = new RegistryProcess(
      spawn(process.execPath, [MAIN, 'serve', ...words], { env }),
      logFile,
    );
    const { address } = await registry.event('listening');
    registry.port = Number(String(address).split(':').pop());
    return registry;
  }

  /** The log lines so far, parsed. */
  log(): Record<string, unknown>[] {
    const text =
      this.#logFile !== undefined && existsSync(this.#logFile)
        ? readFileSync(this.#logFile, 'utf8')
        : this.output.stderr;
    return text.split('\n').flatMap((line) => (line.startsWith('{') ? [JSON.parse(line)] : []));
  }

  /** The lines of the access log so far, parsed. */
  requests(): Record<string, unknown>[] {
    return this.output.stdout
      .split('\n')
      .flatMap((line) => (line.startsWith('{') && line.endsWith('}') ? [JSON.parse(line)] : []));
  }

  /** The first log line of this event for which `matches` holds, once it is there. */
  async event(name: string, matches: (line: Record<string, unknown>) => boolean = () => true) {
    return until(`log line "${name}"`, () => {
      if (this.child.exitCode !== null && this.child.exitCode !== 0) {
        throw new Error(
          `the registry ended with code ${this.child.exitCode}:\n${this.output.stderr}`,
        );
      }
      return this.log().find((line) => line.event === name && matches(line));
    });
  }

  signal(signal: NodeJS.Signals): void {
    this.child.kill(signal);
  }

  /** Process IDs of the workers that live now. */
  workers(): Promise<number[]> {
    return childrenOf(this.child.pid ?? 0);
  }

  async stop(): Promise<void> {
    if (this.child.exitCode === null && this.child.signalCode === null) this.signal('SIGQUIT');
    await this.exited;
  }
}

/** Storage that workers can share, gone at the end. */
function inFolder(): Record<string, string> {
  const folder = mkdtempSync(join(tmpdir(), 'registry-process-'));
  folders.push(folder);
  return { REGISTRY_STORAGE: `{filesystem: {rootdirectory: ${folder}}}` };
}

async function childrenOf(pid: number): Promise<number[]> {
  const { readFile } = await import('node:fs/promises');
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return text
    .trim()
    .split(/\s+/)
    .filter((each) => each !== '')
    .map(Number);
}

/** A machine that runs many tests at once starts processes slowly, in milliseconds. */
const PATIENCE_MS = 20_000;

/** What `look` gives, as soon as it gives something. Fails after twenty seconds. */
export async function until<T>(
  what: string,
  look: () => T | undefined | Promise<T | undefined>,
): Promise<T> {
  const end = Date.now() + PATIENCE_MS;
  for (;;) {
    const found = await look();
    if (found !== undefined && found !== false) return found;
    if (Date.now() > end) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

function collect(child: ChildProcess): { stdout: string; stderr: string } {
  const output = { stdout: '', stderr: '' };
  child.stdout?.on('data', (chunk: Buffer) => {
    output.stdout += chunk.toString();
  });
  child.stderr?.on('data', (chunk: Buffer) => {
    output.stderr += chunk.toString();
  });
  return output;
}
