import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after } from 'node:test';
import type { AccessRequest, Logger } from '../../protocols/registry.ts';
import { createHandler } from '../../src/app.ts';
import {
  type AccessSettings,
  type ConfiguredAccess,
  createAccessControl,
} from '../../src/auth/create-access-control.ts';
import type { AccessRule, AuthConfig, TokenEndpointConfig } from '../../src/config/auth.ts';
import { ContentStore } from '../../storage/content-store.ts';
import type { StorageDriver } from '../../storage/driver.ts';
import { checked } from '../../storage/drivers/checked.ts';
import { MemoryDriver } from '../../storage/drivers/memory.ts';

/** Run after the last test of the file; a hook made within another hook would run too early. */
const cleanups: (() => void)[] = [];
after(() => {
  for (const cleanup of cleanups) cleanup();
});

/** What `htpasswd -B`, `-m`, `-s`, `-d`, `-5` and `-p` write; the password of NAME is `secret-NAME`. */
export const HTPASSWD = {
  ann: 'ann:$2y$05$JNVyc15DL/q.Ihjc3Y2ByOF3hRaaELmaxdouIv0K43dxPzNDTnneq',
  bob: 'bob:$apr1$kq3Rulc7$6gRHDiueADFhOyI01W5Og0',
  carol: 'carol:{SHA}Tu8kzC7gzhE28L0nU1C3FxCGIhM=',
  dave: 'dave:W6QzFG5DKHy7A',
  erin: 'erin:$6$hYrnav/MR7Iy9k5U$qx5JdfNI7yNJ1jMBPRc9P.DTtKGi9Po1uxehhpGs98aiwjgzszOrG0IsO8BYa7ZaNKpKa1pxxS0LZkwktFD/O0',
  fred: 'fred:secret-fred',
};

/** Another password of ann, `changed-ann`. */
export const ANN_CHANGED = 'ann:{SHA}DJWpuuslcV7X/qzXU11mdvQ9Px4=';

export const ALL_ACTIONS: AccessRule['actions'] = ['pull', 'push', 'delete', 'catalog'];

/** What the configuration makes of accounts without rules. */
export const EVERY_USER: AccessRule = {
  repositories: ['**'],
  users: ['*'],
  groups: [],
  anonymous: false,
  actions: ALL_ACTIONS,
};

export function rule(changes: Partial<AccessRule>): AccessRule {
  return { ...EVERY_USER, users: [], ...changes };
}

/** Something for anybody, something for ann, and everything for carol. */
export const RULES: AccessRule[] = [
  rule({ repositories: ['public/*'], anonymous: true, actions: ['pull'] }),
  rule({ repositories: ['team/*'], users: ['ann'], actions: ['pull', 'push', 'catalog'] }),
  rule({ users: ['carol'], actions: ALL_ACTIONS }),
];

export const TOKEN_ENDPOINT: TokenEndpointConfig = {
  path: '/auth/token',
  issuer: 'isthmus',
  service: 'registry',
  lifetimeSeconds: 300,
  refreshSeconds: 3600,
  v1LifetimeSeconds: 3600,
  keyFile: undefined,
};

/** A file in a folder that goes away after the last test. */
export function temporaryFile(name: string, content: string): string {
  const folder = mkdtempSync(join(tmpdir(), 'isthmus-auth-'));
  cleanups.push(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}

export function settings(
  auth: Partial<AuthConfig>,
  v1: Partial<AccessSettings['protocols']['v1']> = {},
): AccessSettings {
  return {
    auth: {
      realm: 'registry',
      htpasswd: undefined,
      groups: {},
      rules: [EVERY_USER],
      token: undefined,
      tokenEndpoint: TOKEN_ENDPOINT,
      silly: undefined,
      passwordCacheSeconds: 60,
      failuresPerMinute: 0,
      ...auth,
    },
    http: { urls: { host: undefined, prefix: '', relative: false }, secret: undefined },
    protocols: {
      v1: { standalone: true, disableTokenAuth: false, indexEndpoint: 'http://127.0.0.1:9', ...v1 },
    },
  };
}

export interface Line {
  level: string;
  event: string;
  fields: Record<string, unknown>;
}

/** A logger that keeps what it is told. */
export function recordingLog(): Logger & { lines: Line[] } {
  const lines: Line[] = [];
  const at =
    (level: string) =>
    (event: string, fields: Record<string, unknown> = {}) =>
      void lines.push({ level, event, fields });
  return { lines, debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') };
}

export function memory(): StorageDriver {
  return checked(new MemoryDriver());
}

export function request(
  protocol: 'v1' | 'v2',
  authorization: string | undefined,
  more: Partial<AccessRequest> = {},
): AccessRequest {
  return {
    protocol,
    method: 'GET',
    authorization,
    address: '192.0.2.1',
    origin: { scheme: 'http', host: 'registry.test' },
    ...more,
  };
}

export function basic(user: string, password = `secret-${user}`): string {
  return `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;
}

export interface AuthServer {
  url: string;
  content: ContentStore;
  access: ConfiguredAccess;
  driver: StorageDriver;
}

/** A registry with this access control on a free port; closed after the last test. */
export async function startAuthServer(
  from: AccessSettings,
  driver: StorageDriver = memory(),
  protocols = { v1: true, v2: true },
): Promise<AuthServer> {
  const content = new ContentStore(driver);
  const log = recordingLog();
  const access = await createAccessControl(from, driver, log);
  const handler = createHandler(
    {
      content,
      access,
      events: { emit: () => undefined },
      limits: { manifestBytes: 4 << 20, jsonBytes: 1 << 20, catalogPage: 1000, tagsPage: 1000 },
      urls: from.http.urls,
      log,
      readOnly: false,
      deletion: true,
      v1: { endpoints: undefined, standalone: true },
    },
    { protocols, endpoints: [access.middleware] },
  );
  const server = createServer(handler).listen(0, '127.0.0.1');
  await once(server, 'listening');
  cleanups.push(() => {
    server.close();
    server.closeAllConnections();
  });
  const { port } = server.address() as AddressInfo;
  return { url: `http://127.0.0.1:${port}`, content, access, driver };
}
