/** How a CA answered when it did not do what was asked (RFC 8555 6.7, RFC 7807). */
export interface Problem {
  /** Without its prefix: `rateLimited`. */
  type: string;
  detail: string;
}

/** Why no certificate came, and what would help. */
export class AcmeError extends Error {
  /** `unreachable` when no CA answered, otherwise as the CA says: `rateLimited`. */
  readonly type: string;
  /** Milliseconds that the CA asks to wait. */
  readonly retryAfterMs: number | undefined;

  constructor(
    type: string,
    message: string,
    options: { cause?: unknown; retryAfterMs?: number | undefined } = {},
  ) {
    super(message, { cause: options.cause });
    this.name = 'AcmeError';
    this.type = type;
    this.retryAfterMs = options.retryAfterMs;
  }
}

/** Reads a problem document, whatever it is. */
export function parseProblem(value: unknown): Problem {
  const { type, detail, subproblems } = isObject(value) ? value : {};
  const inner = Array.isArray(subproblems) ? subproblems.map(parseProblem) : [];
  const said = typeof detail === 'string' ? detail : 'the CA gave no reason';
  return {
    type:
      (inner.length === 1 && inner[0]?.type) ||
      (typeof type === 'string' ? type.replace(/^urn:ietf:params:acme:error:/, '') : 'malformed'),
    detail: [said, ...inner.map((each) => each.detail)].join('; '),
  };
}

/** The error for a problem that the CA reported about `subject`, a host or an address. */
export function refusedBy(problem: Problem, subject: string, retryAfterMs?: number): AcmeError {
  const fix = FIXES[problem.type];
  const message = `${subject}: ${problem.detail} (${problem.type})${fix === undefined ? '' : `; ${fix}`}`;
  return new AcmeError(problem.type, message, { retryAfterMs });
}

/** The error for a CA that did not answer. */
export function unreachable(url: string, cause: unknown): AcmeError {
  const { cause: inner, message } = cause as Error & { cause?: unknown };
  const reason = inner instanceof Error ? inner.message : message;
  return new AcmeError(
    'unreachable',
    `can't reach the CA at ${url}: ${reason}; allow HTTPS to it from here, check http.tls.letsencrypt.directoryurl, ` +
      'and for a CA of your own name its root in NODE_EXTRA_CA_CERTS',
    { cause },
  );
}

const OPEN_PORT =
  'its port 443 must be open to the CA and lead to this registry itself, not to a proxy that ends TLS';

const FIXES: Record<string, string> = {
  connection: OPEN_PORT,
  tls: OPEN_PORT,
  unauthorized: `${OPEN_PORT}, on every address that DNS gives`,
  incorrectResponse: OPEN_PORT,
  dns: 'give it an address in the public DNS, or take it out of http.tls.letsencrypt.hosts',
  caa: 'have the CAA record of its domain allow this CA',
  rejectedIdentifier: 'the CA gives it no certificate; take it out of http.tls.letsencrypt.hosts',
  unsupportedIdentifier:
    'the CA gives it no certificate; take it out of http.tls.letsencrypt.hosts',
  invalidContact: 'set http.tls.letsencrypt.email to an address that exists',
  unsupportedContact: 'set http.tls.letsencrypt.email to an address that exists',
  rateLimited: 'wait; https://letsencrypt.org/docs/rate-limits tells the limits',
  externalAccountRequired:
    'this CA wants an account made elsewhere, which is not supported; set another http.tls.letsencrypt.directoryurl',
};

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
