import { spawn } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';

export interface CommandOptions {
  cwd?: string;
  env?: Record<string, string>;
  input?: Buffer | string;
  /** Milliseconds. */
  timeout?: number;
}

/**
 * The path of a tool that test/e2e/install.sh has installed: its own folder first, then Debian's, so that another
 * build of the same program earlier on the PATH is not taken by mistake.
 */
export function tool(name: string): string {
  const own = process.env.ISTHMUS_E2E_TOOLS ?? join(homedir(), '.cache', 'isthmus-e2e');
  const path = (process.env.PATH ?? '').split(delimiter);
  for (const folder of [join(own, 'bin'), '/usr/bin', '/usr/sbin', '/bin', ...path]) {
    const candidate = join(folder, name);
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // not in this folder
    }
  }
  throw new Error(`${name} is missing: run test/e2e/install.sh`);
}

/** Runs a tool to its end and gives its standard output; throws with everything it said when it fails. */
export async function run(
  name: string,
  args: string[],
  options: CommandOptions = {},
): Promise<Buffer> {
  const child = spawn(tool(name), args, {
    cwd: options.cwd,
    env: { ...process.env, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const out: Buffer[] = [];
  const err: Buffer[] = [];
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => err.push(chunk));
  child.stdin.on('error', () => {}); // a tool need not read what it is given
  child.stdin.end(options.input);
  const timer = setTimeout(() => child.kill('SIGKILL'), options.timeout ?? 180_000);
  const code = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  clearTimeout(timer);
  if (code === 0) return Buffer.concat(out);
  const said = Buffer.concat([...err, ...out])
    .toString('utf8')
    .slice(-4000);
  const how = code === null ? `was killed (${child.signalCode})` : `ended with ${code}`;
  throw new Error(`${name} ${args.join(' ')} ${how}: ${said}`);
}
