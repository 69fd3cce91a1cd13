import { ContentStore } from '../storage/content-store.ts';
import { checked } from '../storage/drivers/checked.ts';
import { FilesystemDriver } from '../storage/drivers/filesystem.ts';
import { createApp } from './app.ts';
import { openAccess } from './open-access.ts';

const log = {
  debug() {},
  info() {},
  warn() {},
  error(e: string, f?: unknown) {
    process.stderr.write(`${e} ${JSON.stringify(f)}\n`);
  },
};
const content = new ContentStore(
  checked(new FilesystemDriver({ root: process.env.STORAGE_PATH ?? './data' })),
);
const app = createApp(
  {
    content,
    access: openAccess,
    events: { emit() {} },
    limits: { manifestBytes: 4 << 20, jsonBytes: 1 << 20, catalogPage: 1000, tagsPage: 1000 },
    urls: { host: undefined, prefix: '', relative: false },
    log,
    readOnly: false,
    deletion: true,
    v1: { endpoints: undefined, standalone: true },
  },
  { protocols: { v1: true, v2: true } },
);
const server = app.listen(Number(process.env.REGISTRY_PORT ?? 5000), '127.0.0.1');
server.requestTimeout = 0;
