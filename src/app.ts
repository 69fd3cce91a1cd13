import type { RequestListener } from 'node:http';
import Koa, { type Context } from 'koa';
import { type Answer, respond } from '../protocols/answer.ts';
import { imagesApi } from '../protocols/api/index.ts';
import type { Protocol } from '../protocols/protocol.ts';
import { type Registry, registryError } from '../protocols/registry.ts';
import { v1 } from '../protocols/v1/index.ts';
import { v2 } from '../protocols/v2/index.ts';
import { type CorsOptions, cors } from './cors.ts';
import { DirectAnswers } from './direct-answers.ts';
import { Exchange, type Onlooker } from './exchange.ts';
import {
  directMethods,
  failureAnswer,
  greetingOf,
  isWrite,
  owns,
  refuseAmbiguity,
} from './gate.ts';
import type { Guard } from './guard.ts';
import { routePath, withoutPrefix } from './route-path.ts';
import { distrustOthers } from './trusted-proxies.ts';

export interface AppOptions {
  /** Which protocols are served. */
  protocols: { v1: boolean; v2: boolean };
  /** Told of every request. */
  onlookers?: readonly Onlooker[];
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
  /** False leads all requests through Koa, for middlewares that must see each. Default true. */
  direct?: boolean;
}

/** Everything that answers requests: one Koa app with both protocols, and the short way past it for pulls and pushes. */
export function createHandler(registry: Registry, options: AppOptions): RequestListener {
  const { onlookers = [], guards = [] } = options;
  const protocols = protocolsOf(registry, options);
  const headers = Object.entries(options.headers ?? {});
  const answer = createApp(registry, protocols, options).callback();
  const isDirect = options.direct !== false && options.cors === undefined;
  const direct = isDirect ? new DirectAnswers(registry, protocols, guards, headers) : undefined;
  const distrust = distrustOthers(options.trustedProxies ?? ['*']);
  return (request, response) => {
    distrust?.(request);
    const exchange = new Exchange(request, response, onlookers);
    if (direct?.take(exchange)) return;
    void answer(request, response);
  };
}

function protocolsOf(registry: Registry, { protocols }: AppOptions): Protocol[] {
  return [
    ...(protocols.v2 ? [v2(registry)] : []),
    ...(protocols.v1 ? [v1(registry)] : []),
    imagesApi(registry),
  ];
}

/** Puts the protocols on one Koa app. Only connects: everything else is in the protocols and the registry. */
function createApp(registry: Registry, protocols: readonly Protocol[], options: AppOptions): Koa {
  const app = new Koa();
  app.proxy = true;
  app.silent = true;
  app.use((ctx, next) => {
    ctx.state = Exchange.of(ctx.res) ?? {};
    return next();
  });
  const headers = Object.entries(options.headers ?? {});
  if (headers.length > 0) app.use(withHeaders(headers));
  if (options.cors) app.use(cors(options.cors));
  for (const endpoint of options.endpoints ?? []) app.use(endpoint);
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
    const handler = protocol.direct?.(ctx.method, clean);
    try {
      for (const guard of guards) {
        const waiting = guard(ctx);
        if (waiting) await waiting;
      }
      const greeting = greetingOf(protocol, ctx.req);
      for (let at = 0; at < greeting.length; at += 2) {
        ctx.set(greeting[at] as string, greeting[at + 1] as string);
      }
      refuseAmbiguity(ctx.req);
      if (routed.kind === 'invalid') throw registryError('NAME_INVALID', routed.reason);
      if (!owns(protocol, clean)) {
        throw registryError('NAME_INVALID', `the path leads out of ${protocol.prefix}/`);
      }
      if (routed.kind === 'moved') return moved(ctx, `${prefix}${clean}${ctx.search}`);
      let answer: Answer | undefined;
      if (handler) answer = await handler(ctx);
      else {
        (ctx as RoutedContext).newRouterPath = clean;
        await routes(ctx, async () => noRoute(ctx));
      }
      if (isWrite(ctx.req)) await registry.events.stored?.();
      if (answer) await respond(ctx, answer);
    } catch (error) {
      const methods = () => (handler ? directMethods(protocol, clean) : allowedMethods(ctx));
      await respondToFailure(ctx, failureAnswer(registry, protocol, ctx, error, methods));
    }
  };
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

/** What a handler may have said of the content that does not come. */
const OF_CONTENT = [
  'Accept-Ranges',
  'Content-Disposition',
  'Content-Length',
  'ETag',
  'Last-Modified',
];

async function respondToFailure(ctx: Context, answer: Answer): Promise<void> {
  for (const header of OF_CONTENT) ctx.remove(header);
  if (ctx.res.headersSent) ctx.res.destroy();
  else await respond(ctx, answer);
}

/** The methods of every route that matches the path. */
function allowedMethods(ctx: Context): string[] {
  const matched = (ctx as RoutedContext).matched ?? [];
  return [...new Set(matched.flatMap((layer) => layer.methods))];
}
