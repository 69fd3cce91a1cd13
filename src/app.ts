import Koa, { type Context } from 'koa';
import { imagesApi } from '../protocols/api/index.ts';
import type { Protocol } from '../protocols/protocol.ts';
import { type Registry, registryError } from '../protocols/registry.ts';
import { v1 } from '../protocols/v1/index.ts';
import { v2 } from '../protocols/v2/index.ts';
import { RegistryError } from '../storage/errors.ts';
import type { AccessLog } from './access-log.ts';
import { type CorsOptions, cors } from './cors.ts';
import type { Guard } from './guard.ts';
import { requestLog } from './request-log.ts';
import { routePath, withoutPrefix } from './route-path.ts';
import { distrustOthers } from './trusted-proxies.ts';

export interface AppOptions {
  /** Which protocols are served. */
  protocols: { v1: boolean; v2: boolean };
  /** Gets a line for each answered request. */
  accessLog?: AccessLog;
  /** Stand on every answer, each as often as it has values (distribution's `http.headers`). */
  headers?: Record<string, string[]>;
  /** Who is believed about the client's address and host; `*` for anybody, which is the default. */
  trustedProxies?: readonly string[];
  /** Undefined: pages of other origins stay out. */
  cors?: CorsOptions;
  /** Served beside the protocols, such as the token endpoint; each passes on what is not its own. */
  endpoints?: readonly Koa.Middleware[];
  /** Asked before every request to a protocol; may refuse it. */
  guards?: readonly Guard[];
}

/** Puts the protocols on one Koa app. Only connects: everything else is in the protocols and the registry. */
export function createApp(registry: Registry, options: AppOptions): Koa {
  const app = new Koa();
  app.proxy = true;
  app.silent = true;
  const distrust = distrustOthers(options.trustedProxies ?? ['*']);
  if (distrust) app.use(distrust);
  if (options.accessLog) app.use(requestLog(options.accessLog));
  const headers = Object.entries(options.headers ?? {});
  if (headers.length > 0) app.use(withHeaders(headers));
  if (options.cors) app.use(cors(options.cors));
  for (const endpoint of options.endpoints ?? []) app.use(endpoint);
  const protocols: Protocol[] = [];
  if (options.protocols.v2) protocols.push(v2(registry));
  if (options.protocols.v1) protocols.push(v1(registry));
  protocols.push(imagesApi(registry));
  for (const protocol of protocols) app.use(mount(protocol, registry, options.guards ?? []));
  app.use((ctx) => {
    if (ctx.path === '/') {
      ctx.set('Cache-Control', 'no-cache');
      ctx.body = '';
      ctx.status = 200;
    }
  });
  return app;
}

function withHeaders(headers: readonly [string, string[]][]): Koa.Middleware {
  return (ctx, next) => {
    for (const [name, values] of headers) ctx.set(name, values);
    return next();
  };
}

/** The path that @koa/router matches on, where it is not the one of the request. */
interface RoutedContext {
  newRouterPath?: string;
  matched?: { methods: string[] }[];
}

/**
 * Gives a protocol its own errors, its own 404, 405 and OPTIONS, for everything below its prefix, which lies below
 * the registry's prefix (v2.md 1.2).
 */
function mount(protocol: Protocol, registry: Registry, guards: readonly Guard[]): Koa.Middleware {
  const routes = protocol.router.routes() as unknown as Koa.Middleware;
  const { prefix } = registry.urls;
  return async (ctx, next) => {
    const raw = withoutPrefix(ctx.path, prefix);
    if (raw === undefined) return next();
    const routed = protocol.cleanPaths ? routePath(raw) : ({ kind: 'route', path: raw } as const);
    const clean = routed.kind === 'invalid' ? raw : routed.path;
    if (!owns(protocol, raw) && !owns(protocol, clean)) return next();
    try {
      for (const guard of guards) {
        const waiting = guard(ctx);
        if (waiting) await waiting;
      }
      protocol.enter?.(ctx);
      refuseAmbiguity(ctx);
      if (routed.kind === 'invalid') throw registryError('NAME_INVALID', routed.reason);
      if (!owns(protocol, clean)) {
        throw registryError('NAME_INVALID', `the path leads out of ${protocol.prefix}/`);
      }
      if (routed.kind === 'moved') return moved(ctx, `${prefix}${clean}${ctx.search}`);
      const hot = protocol.hot?.(ctx.method, clean);
      if (hot) {
        await hot(ctx);
        return;
      }
      (ctx as RoutedContext).newRouterPath = clean;
      await routes(ctx, async () => noRoute(ctx));
      if (ctx.method !== 'GET' && ctx.method !== 'HEAD') await registry.events.stored?.();
    } catch (error) {
      renderFailure(ctx, protocol, registry, error);
    }
  };
}

function owns({ prefix, alsoServes }: Protocol, path: string): boolean {
  if (path.startsWith(prefix)) return path.length === prefix.length || path[prefix.length] === '/';
  return alsoServes?.includes(path) ?? false;
}

/** Refuses requests that a proxy in front might read in another way than we do (RFC 9112 sections 3.2 and 6.1). */
function refuseAmbiguity(ctx: Context): void {
  const { req } = ctx;
  let hosts = 0;
  for (let at = 0; at < req.rawHeaders.length; at += 2) {
    if (req.rawHeaders[at]?.toLowerCase() === 'host') hosts += 1;
  }
  if (hosts > 1 || (hosts === 0 && req.httpVersion === '1.1')) {
    throw registryError('REQUEST_INVALID', `the request has ${hosts} Host headers; send one`);
  }
  if (req.httpVersionMajor < 1) {
    throw registryError('REQUEST_INVALID', 'HTTP before 1.0 is not spoken here');
  }
  const coding = req.headers['transfer-encoding'];
  if (coding !== undefined && coding.trim().toLowerCase() !== 'chunked') {
    throw registryError('REQUEST_INVALID', 'the only transfer coding understood is chunked');
  }
}

function moved(ctx: Context, location: string): void {
  ctx.status = 301;
  ctx.set('Location', location);
  ctx.body = '';
  ctx.remove('Content-Type');
}

/** No route took the request: the path has none for this method, or none at all. */
function noRoute(ctx: Context): void {
  const allowed = allowedMethods(ctx);
  if (allowed.length === 0) throw registryError('NOT_FOUND', 'nothing is served at this path');
  if (ctx.method !== 'OPTIONS') {
    throw registryError(
      'METHOD_NOT_ALLOWED',
      `${ctx.method} is not offered here, only ${allowed.join(', ')}`,
    );
  }
  ctx.set('Allow', allowed.join(', '));
  ctx.status = 200;
  ctx.body = '';
  ctx.remove('Content-Type');
}

function renderFailure(ctx: Context, protocol: Protocol, registry: Registry, error: unknown): void {
  if (error instanceof RegistryError) {
    protocol.renderError(ctx, error);
    if (error.code.startsWith('STORAGE_')) logStorageTrouble(ctx, registry, error);
    if (ctx.status === 405) ctx.set('Allow', methodsLeft(ctx, registry).join(', '));
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

/** What a client is told in a word is for the operator to mend. */
function logStorageTrouble(ctx: Context, registry: Registry, error: RegistryError): void {
  const { cause } = error;
  registry.log.error('the storage refused', {
    id: ctx.state.requestId,
    method: ctx.method,
    path: ctx.path,
    reason: error.message,
    cause: cause instanceof Error ? cause.message : undefined,
  });
}

/** The methods of every route that matches the path. */
function allowedMethods(ctx: Context): string[] {
  const matched = (ctx as RoutedContext).matched ?? [];
  return [...new Set(matched.flatMap((layer) => layer.methods))];
}

/** What a 405 names (RFC 9110 section 15.5.6): not the method that it refuses, nor a write to a read-only registry. */
function methodsLeft(ctx: Context, registry: Registry): string[] {
  const reads = ['GET', 'HEAD'];
  return allowedMethods(ctx).filter(
    (method) => method !== ctx.method && (!registry.readOnly || reads.includes(method)),
  );
}
