import Koa, { type Context } from 'koa';
import { imagesApi } from '../protocols/api/index.ts';
import type { Protocol } from '../protocols/protocol.ts';
import { type Registry, registryError } from '../protocols/registry.ts';
import { v1 } from '../protocols/v1/index.ts';
import { v2 } from '../protocols/v2/index.ts';
import { RegistryError } from '../storage/errors.ts';
import type { AccessLog } from './access-log.ts';
import { requestLog } from './request-log.ts';

export interface AppOptions {
  /** Which protocols are served. */
  protocols: { v1: boolean; v2: boolean };
  /** Gets a line for each answered request. */
  accessLog?: AccessLog;
}

/** Puts the protocols on one Koa app. Only connects: everything else is in the protocols and the registry. */
export function createApp(registry: Registry, options: AppOptions): Koa {
  const app = new Koa();
  app.proxy = true;
  app.silent = true;
  if (options.accessLog) app.use(requestLog(options.accessLog));
  const protocols: Protocol[] = [];
  if (options.protocols.v2) protocols.push(v2(registry));
  if (options.protocols.v1) protocols.push(v1(registry));
  protocols.push(imagesApi(registry));
  for (const protocol of protocols) app.use(mount(protocol, registry));
  app.use((ctx) => {
    if (ctx.path === '/') {
      ctx.set('Cache-Control', 'no-cache');
      ctx.body = '';
      ctx.status = 200;
    }
  });
  return app;
}

/** Gives a protocol its own errors, its own 404 and its own 405, for everything below its prefix. */
function mount(protocol: Protocol, registry: Registry): Koa.Middleware {
  const routes = protocol.router.routes() as unknown as Koa.Middleware;
  const methods = protocol.router.allowedMethods({
    throw: true,
    methodNotAllowed: () => registryError('METHOD_NOT_ALLOWED', 'method not allowed here'),
    notImplemented: () => registryError('METHOD_NOT_ALLOWED', 'method not known here'),
  }) as unknown as Koa.Middleware;
  return async (ctx, next) => {
    if (!owns(protocol, ctx.path)) return next();
    try {
      protocol.enter?.(ctx);
      await routes(ctx, () => methods(ctx, () => refuseUnknownPath(ctx)));
    } catch (error) {
      renderFailure(ctx, protocol, registry, error);
    }
  };
}

function owns({ prefix, alsoServes }: Protocol, path: string): boolean {
  if (path.startsWith(prefix)) return path.length === prefix.length || path[prefix.length] === '/';
  return alsoServes?.includes(path) ?? false;
}

/** Leaves a known path with a wrong method to `allowedMethods`, which looks after this. */
async function refuseUnknownPath(ctx: Context): Promise<void> {
  if (allowedMethods(ctx) !== '') return;
  throw registryError('NOT_FOUND', 'nothing is served at this path');
}

function renderFailure(ctx: Context, protocol: Protocol, registry: Registry, error: unknown): void {
  if (error instanceof RegistryError) {
    if (error.code === 'METHOD_NOT_ALLOWED') ctx.set('Allow', allowedMethods(ctx));
    protocol.renderError(ctx, error);
    return;
  }
  registry.log.error('request failed', {
    id: ctx.state.requestId,
    method: ctx.method,
    path: ctx.path,
    error: error instanceof Error ? error.stack : String(error),
  });
  protocol.renderError(ctx, registryError('UNKNOWN', 'unknown error', { cause: error }));
}

function allowedMethods(ctx: Context): string {
  const matched = (ctx as { matched?: { methods: string[] }[] }).matched ?? [];
  return [...new Set(matched.flatMap((layer) => layer.methods))].join(', ');
}
