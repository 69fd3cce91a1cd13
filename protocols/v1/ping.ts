import type Router from '@koa/router';
import type { Context } from 'koa';
import type { Registry } from '../registry.ts';
import { sendJson } from './json.ts';

/** The registry whose behaviour this is. Engines up to 0.10 refuse a server that does not say a version. */
const VERSION = '0.9.1';
const DEFAULT_ISSUE = '"docker-registry server"';

/** The headers of every V1 answer, names and values in turn (v1.md 1.3). They tell nothing of the machine. */
export function greeting({ v1 }: Registry): readonly string[] {
  return [
    'X-Docker-Registry-Version',
    VERSION,
    ...(v1.flavor ? ['X-Docker-Registry-Config', v1.flavor] : []),
  ];
}

/** `GET /v1/_ping` and `/_ping`, never behind a login, and `GET /`. */
export function pingRoutes(router: Router, registry: Registry): void {
  const ping = (ctx: Context) => {
    ctx.set('X-Docker-Registry-Standalone', standalone(registry));
    sendJson(ctx, 200, {});
  };
  router.get('/v1/_ping', ping);
  router.get('/_ping', ping);
  router.get('/', (ctx) => sendJson(ctx, 200, registry.v1.issue ?? DEFAULT_ISSUE));
}

function standalone({ v1 }: Registry): string {
  if (v1.mirror) return 'mirror';
  return v1.standalone ? 'True' : 'False';
}
