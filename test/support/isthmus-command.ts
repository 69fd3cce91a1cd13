import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The compiled command line of this checkout. */
export const MAIN = fileURLToPath(new URL('../../src/main.js', import.meta.url));

interface Ran {
  code: number | null;
  out: Buffer;
  err: string;
}

/** Runs the command line over a store; neither stream is a terminal. */
export async function isthmus(store: string, args: string[], input?: Buffer): Promise<Ran> {
  const child = spawn(process.execPath, [MAIN, ...args], {
    env: { ...process.env, STORAGE_PATH: store },
  });
  const out: Buffer[] = [];
  let err = '';
  child.stdout.on('data', (chunk: Buffer) => out.push(chunk));
  child.stderr.on('data', (chunk: Buffer) => {
    err += chunk.toString();
  });
  child.stdin.on('error', () => undefined);
  child.stdin.end(input);
  const code = await new Promise<number | null>((done) => child.on('close', done));
  return { code, out: Buffer.concat(out), err };
}
