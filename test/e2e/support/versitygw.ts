import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { eventually } from '../../support/eventually.ts';
import { freePort } from '../../support/free-port.ts';
import { request } from '../../support/http-client.ts';
import { tool } from './command.ts';

const ACCESS_KEY = 'isthmus';
const SECRET_KEY = 'only-for-tests';

/** versitygw, a server of S3 over a folder, with one bucket, on a port of 127.0.0.1. */
export class Versitygw {
  readonly bucket = 'images';
  readonly accessKey = ACCESS_KEY;
  readonly secretKey = SECRET_KEY;
  readonly endpoint: string;
  /** The folder that holds each object as a file. */
  readonly folder: string;
  readonly #child: ChildProcess;

  private constructor(folder: string, port: number, child: ChildProcess) {
    this.folder = join(folder, this.bucket);
    this.endpoint = `http://127.0.0.1:${port}`;
    this.#child = child;
  }

  static async start(folder: string): Promise<Versitygw> {
    await mkdir(join(folder, 'images'), { recursive: true });
    const port = await freePort();
    const keys = ['--access', ACCESS_KEY, '--secret', SECRET_KEY];
    const options = [...keys, '--port', `127.0.0.1:${port}`, '--quiet', 'posix', folder];
    const child = spawn(tool('versitygw'), options, { stdio: 'ignore' });
    const server = new Versitygw(folder, port, child);
    await eventually(async () => {
      return request(server.endpoint).then(
        () => true,
        () => false,
      );
    }, 'versitygw');
    return server;
  }

  /** The settings of the registry for this bucket, as its environment. */
  environment(): Record<string, string> {
    return {
      REGISTRY_STORAGE: 's3',
      REGISTRY_STORAGE_S3_BUCKET: this.bucket,
      REGISTRY_STORAGE_S3_REGIONENDPOINT: this.endpoint,
      REGISTRY_STORAGE_S3_ACCESSKEY: this.accessKey,
      REGISTRY_STORAGE_S3_SECRETKEY: this.secretKey,
      REGISTRY_STORAGE_S3_CHUNKSIZE: String(5 * 1024 * 1024),
    };
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, 'exit');
    this.#child.kill('SIGTERM');
    await gone;
  }
}
