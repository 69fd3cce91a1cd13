// Starts the bundle once as a server of its own, asks it for something, and puts beside it what V8 has compiled for that:
// a start spent a third of its time on compiling. Only the process that ran the code can give it away.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { get } from 'node:http';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { codeCacheOf, compile, run } from './dist/src/launch.js';

const DEADLINE_MS = 30_000;

const file = join(import.meta.dirname, 'dist/src/chunks/programs.cjs');
const store = mkdtempSync(join(tmpdir(), 'code-cache-'));
process.on('exit', () => rmSync(store, { recursive: true, force: true }));

function freePort() {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address();
      server.close(() => resolve(port));
    });
  });
}

function answers(port) {
  return new Promise((resolve) => {
    get({ port, host: '127.0.0.1', path: '/v2/', agent: false }, (response) => {
      response.resume().once('end', () => resolve(response.statusCode === 200));
    }).once('error', () => resolve(false));
  });
}

const port = await freePort();
process.env = {
  REGISTRY_HOST: '127.0.0.1',
  REGISTRY_PORT: `${port}`,
  STORAGE_PATH: store,
  GUNICORN_ACCESS_LOG_FILE: '/dev/null',
  GUNICORN_ERROR_LOG_FILE: '/dev/null',
};
process.argv = [process.execPath, file, 'serve'];
rmSync(codeCacheOf(file), { force: true });
const script = compile(file);
const { programs } = run(file, script);
await programs.worker();
await programs.isthmus();
for (const deadline = Date.now() + DEADLINE_MS; !(await answers(port)); ) {
  if (Date.now() > deadline) throw new Error(`the bundle did not answer in ${DEADLINE_MS} ms`);
}
writeFileSync(codeCacheOf(file), script.createCachedData());
process.exit();
