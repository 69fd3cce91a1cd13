import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { Logger } from '../protocols/registry.ts';
import type { DebugConfig } from './config/http.ts';
import { ListenError, showAddress } from './listen.ts';
import { prometheusText, type Snapshot } from './metrics/snapshot.ts';
import { isProfilePath, type Profiler, sendProfile } from './profile-endpoint.ts';

/** What the debug listener shows; asked anew for each request. */
export interface DebugSources {
  metrics(): Promise<Snapshot>;
  /** Failing checks with their reasons. */
  failing(): Promise<Record<string, string>>;
  /** Plain values for `/debug/vars`. */
  vars(): Promise<Record<string, unknown>>;
  profile: Profiler;
}

/**
 * Opens the second listener (v2.md 5.6): metrics, `/debug/health`, `/debug/vars`, `/debug/pprof`. It has no access control, so it
 * belongs on an inner address. Throws a ListenError.
 */
export async function openDebugListener(
  config: DebugConfig,
  sources: DebugSources,
  log: Logger,
): Promise<Server> {
  const server = createServer((request, response) => {
    answer(request, response, config, sources).catch((error: unknown) => {
      log.error('debug request failed', { path: request.url, error });
      send(response, 500, 'text/plain', 'internal error; see the log\n');
    });
  });
  const { listen } = config;
  await new Promise<void>((resolve, reject) => {
    server.once('error', (error) =>
      reject(new ListenError(`debug listener on ${showAddress(listen)}: ${error.message}`, error)),
    );
    const at = listen.kind === 'unix' ? { path: listen.path } : { port: listen.port };
    const host = listen.kind === 'tcp' && listen.host !== '' ? { host: listen.host } : {};
    server.listen({ ...at, ...host }, resolve);
  });
  server.unref();
  return server;
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  config: DebugConfig,
  sources: DebugSources,
): Promise<void> {
  const path = (request.url ?? '').replace(/\?.*$/s, '');
  if (request.method !== 'GET' && request.method !== 'HEAD') {
    return send(response, 405, 'text/plain', 'only GET here\n');
  }
  if (path === '/debug/health') {
    const failing = await sources.failing();
    const status = Object.keys(failing).length === 0 ? 200 : 503;
    return send(response, status, 'application/json', JSON.stringify(failing));
  }
  if (path === '/debug/vars') {
    return send(response, 200, 'application/json', `${JSON.stringify(await sources.vars())}\n`);
  }
  if (path === config.metricsPath && config.prometheus) {
    const text = prometheusText(await sources.metrics());
    return send(response, 200, 'text/plain; version=0.0.4; charset=utf-8', text);
  }
  if (isProfilePath(path) && config.profiles && request.method === 'GET') {
    const refusal = await sendProfile(request, response, sources.profile);
    if (refusal) send(response, refusal.status, 'text/plain', `${refusal.text}\n`);
    return;
  }
  const known = [
    '/debug/health',
    '/debug/vars',
    ...(config.prometheus ? [config.metricsPath] : []),
    ...(config.profiles ? ['/debug/pprof/profile', '/debug/pprof/heap'] : []),
  ];
  return send(response, 404, 'text/plain', `nothing here; there is ${known.join(', ')}\n`);
}

function send(response: ServerResponse, status: number, type: string, text: string): void {
  if (response.headersSent) return;
  const body = Buffer.from(text);
  response.writeHead(status, {
    'Content-Type': type,
    'Content-Length': body.length,
    'Cache-Control': 'no-store',
  });
  response.end(response.req.method === 'HEAD' ? undefined : body);
}
