import type { Context, Middleware } from 'koa';

/** Cross-origin requests, for pages of another origin (v1.md 4.3, `cors`). */
export interface CorsOptions {
  /** Allowed origins as browsers send them, such as `https://ui.example`; `*` for any. */
  origins: readonly string[];
  methods: readonly string[];
  /** Request headers that a page may set. */
  headers: readonly string[];
  /** Answer headers that a page may read. */
  exposeHeaders: readonly string[];
  supportsCredentials: boolean;
  /** Seconds that a preflight answer may be kept; undefined for the browser's own. */
  maxAgeSeconds: number | undefined;
}

/**
 * Lets pages of the allowed origins use every route. It stands before everything that asks for credentials, since a
 * preflight request never carries any. Another origin gets no headers, and so no access; it is no error.
 */
export function cors(options: CorsOptions): Middleware {
  return (ctx, next) => {
    const origin = ctx.get('origin');
    const preflight = ctx.method === 'OPTIONS' && ctx.get('access-control-request-method') !== '';
    if (!anyOrigin(options) || options.supportsCredentials) ctx.vary('Origin');
    if (origin !== '' && isAllowed(options, origin)) {
      allow(ctx, options, origin);
      if (preflight) describe(ctx, options);
    }
    if (origin === '' || !preflight) return next();
    ctx.status = 200;
    ctx.body = '';
    ctx.remove('Content-Type');
    return undefined;
  };
}

function anyOrigin({ origins }: CorsOptions): boolean {
  return origins.includes('*');
}

function isAllowed(options: CorsOptions, origin: string): boolean {
  const wanted = origin.toLowerCase();
  return anyOrigin(options) || options.origins.some((each) => each.toLowerCase() === wanted);
}

function allow(ctx: Context, options: CorsOptions, origin: string): void {
  // Browsers refuse the wildcard together with credentials.
  const wild = anyOrigin(options) && !options.supportsCredentials;
  ctx.set('Access-Control-Allow-Origin', wild ? '*' : origin);
  if (options.supportsCredentials) ctx.set('Access-Control-Allow-Credentials', 'true');
  setList(ctx, 'Access-Control-Expose-Headers', options.exposeHeaders);
}

function describe(ctx: Context, options: CorsOptions): void {
  setList(ctx, 'Access-Control-Allow-Methods', options.methods);
  setList(ctx, 'Access-Control-Allow-Headers', options.headers);
  if (options.maxAgeSeconds !== undefined) {
    ctx.set('Access-Control-Max-Age', String(options.maxAgeSeconds));
  }
}

function setList(ctx: Context, header: string, values: readonly string[]): void {
  if (values.length > 0) ctx.set(header, values.join(', '));
}
