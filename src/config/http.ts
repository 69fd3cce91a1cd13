import { opensslCipher } from './ciphers.ts';
import type { Section } from './reader.ts';
import type { ListenAddress } from './scalars.ts';

export interface HttpConfig {
  /** Where clients connect. Default: every address, port 5000. */
  listen: ListenAddress;
  /** TLS on that address; undefined for plain HTTP. */
  tls: TlsConfig | undefined;
  /** Headers added to every answer, by name. Default: `X-Content-Type-Options: nosniff` with a flavors file. */
  headers: Record<string, string[]>;
  urls: UrlConfig;
  /** Signs upload states and V1 tokens; must be the same on every node. Undefined: kept in the store. */
  secret: string | undefined;
  /** Seconds that requests in flight may take to finish when the server stops. 0 stops at once. Default 30; 3600 with a flavors file. */
  drainSeconds: number;
  timeouts: TimeoutConfig;
  limits: LimitConfig;
  /** Proxies whose `Forwarded` and `X-Forwarded-*` are believed: addresses, CIDR blocks, or `*` for any. Default `[*]`. */
  trustedProxies: string[];
  /** A second listener for health, metrics and profiles, without access control; undefined for none. */
  debug: DebugConfig | undefined;
}

export interface TlsConfig {
  /** Paths of the PEM chain and key; undefined when they are fetched by ACME. */
  files: { certificate: string; key: string } | undefined;
  /** Fetches certificates by ACME; undefined when there are files. */
  letsEncrypt: LetsEncryptConfig | undefined;
  /** Paths of CA certificates that client certificates must be signed by. Default none: no client certificates. */
  clientCas: string[];
  /** What is asked of a client's certificate when `clientCas` is set. Default require-and-verify-client-cert. */
  clientAuth: ClientAuth;
  /** Oldest protocol that is spoken. Default TLSv1.2; engines before docker 1.6 may need TLSv1. */
  minimumVersion: TlsVersion;
  /** OpenSSL's names of the cipher suites, best first; empty for Node's own list. Without effect on TLS 1.3. */
  cipherSuites: string[];
}

/** Certificates by ACME (RFC 8555), proved by tls-alpn-01 on the port of the registry. */
export interface LetsEncryptConfig {
  /** The names that get a certificate each, in lower case; at least one. */
  hosts: string[];
  /** Where the CA may write to; undefined for nowhere. */
  email: string | undefined;
  /** Path of the folder that keeps keys and certificates, as distribution 3 lays it out; undefined: the store. */
  cacheFolder: string | undefined;
  /** The CA. Default Let's Encrypt. */
  directoryUrl: string;
}

export type TlsVersion = 'TLSv1' | 'TLSv1.1' | 'TLSv1.2' | 'TLSv1.3';

const CLIENT_AUTH = [
  'require-and-verify-client-cert',
  'verify-client-cert-if-given',
  'require-any-client-cert',
  'request-client-cert',
] as const;
export type ClientAuth = (typeof CLIENT_AUTH)[number];

/** How URLs in answers are built (v2.md 1.2). */
export interface UrlConfig {
  /** Absolute base that always wins, such as `https://registry.example`; undefined: what the client used. */
  host: string | undefined;
  /** Path under which everything lives, with leading and without trailing slash. Default ''. */
  prefix: string;
  /** Whether Location headers hold only path and query. Default false. */
  relative: boolean;
}

export interface TimeoutConfig {
  /** Seconds a client may take to send the headers of a request. Default 60. */
  headersSeconds: number;
  /** Seconds an idle connection is kept for a next request. Default 75. */
  keepAliveSeconds: number;
  /** Seconds without one byte, while the client is the one to send or read, until its connection is closed. Default 300. */
  idleSeconds: number;
}

/** Bounds on what one request or client may take. */
export interface LimitConfig {
  /** Bytes of a manifest. Default 4 MiB. */
  manifestBytes: number;
  /** Bytes of a V1 JSON body. Default 1 MiB. */
  jsonBytes: number;
  /** Bytes of all headers of a request. Default 32 KiB. */
  headerBytes: number;
  /** Open connections for each worker; 0 for no limit. Default 0. */
  connections: number;
  /** Uploads that receive bytes at the same time, for each worker; 0 for no limit. Default 0. */
  concurrentUploads: number;
  /** Requests a minute from one address, in all workers together; 0 for no limit. Default 0. */
  requestsPerMinute: number;
}

export interface DebugConfig {
  listen: ListenAddress;
  /** Whether Prometheus metrics are served. Default false. */
  prometheus: boolean;
  /** Path of the metrics. Default /metrics. */
  metricsPath: string;
  /** Whether `/debug/pprof` gives profiles: a look into memory, secrets included. Default false. */
  profiles: boolean;
}

const TLS_VERSIONS: Record<string, TlsVersion> = {
  'tls1.0': 'TLSv1',
  'tls1.1': 'TLSv1.1',
  'tls1.2': 'TLSv1.2',
  'tls1.3': 'TLSv1.3',
};

/** The sections `http`, `listen` and `limits`. */
export function readHttp(
  root: Section,
  defaults: { drainSeconds: number; headers: Record<string, string[]> },
): HttpConfig {
  const http = root.section('http');
  // HTTP/2 is not spoken, so switching it off is obeyed.
  http.ignore('http2');
  http.idle('h2c');
  const headers = http.stringLists('headers');
  return {
    listen: readListen(root, http),
    tls: readTls(http),
    headers: { ...defaults.headers, ...headers },
    urls: {
      host: http.url('host'),
      prefix: readPrefix(http),
      relative: http.boolean('relativeurls', false),
    },
    secret: http.string('secret'),
    drainSeconds: http.duration('draintimeout', defaults.drainSeconds),
    timeouts: readTimeouts(http.section('timeouts')),
    limits: readLimits(http.section('limits')),
    trustedProxies: http.strings('trustedproxies', ['*']),
    debug: readDebug(http.section('debug')),
  };
}

function readListen(root: Section, http: Section): ListenAddress {
  const listen = root.section('listen');
  const socket = listen.string('socket');
  const host = readHost(listen);
  const port = readPort(listen);
  if (http.choice('net', ['tcp', 'unix']) === 'unix') {
    const path = http.string('addr');
    if (path === undefined)
      http.mistake('addr', 'expected the path of the socket, since net is unix');
    return { kind: 'unix', path: path ?? '' };
  }
  const address = http.address('addr');
  if (address !== undefined) return address;
  return socket === undefined ? { kind: 'tcp', host, port } : { kind: 'unix', path: socket };
}

/** Container links set REGISTRY_PORT=tcp://… beside a service called "registry" (v1.md 4.4); that is no port for us. */
const LINK = /^(tcp|udp):\/\//;

function readHost(listen: Section): string {
  const host = listen.string('host', '0.0.0.0');
  if (!LINK.test(host)) return host;
  listen.warning(
    'host',
    `"${host}" was set by a container link and is ignored; listening on 0.0.0.0`,
  );
  return '0.0.0.0';
}

function readPort(listen: Section): number {
  const text = listen.string('port');
  if (text !== undefined && LINK.test(text)) {
    listen.warning(
      'port',
      `"${text}" was set by a container link and is ignored; listening on port 5000`,
    );
    return 5000;
  }
  return listen.integer('port', { max: 65_535 }, 5000);
}

function readPrefix(http: Section): string {
  const prefix = http.string('prefix', '').replace(/\/+$/, '');
  if (prefix === '' || /^(\/[A-Za-z0-9._~-]+)+$/.test(prefix)) return prefix;
  http.mistake('prefix', `expected a path such as /registry, got ${JSON.stringify(prefix)}`);
  return '';
}

function readTls(http: Section): TlsConfig | undefined {
  const tls = http.section('tls');
  const certificate = tls.string('certificate');
  const key = tls.string('key');
  const letsEncrypt = readLetsEncrypt(tls.section('letsencrypt'));
  const rest = {
    clientCas: tls.strings('clientcas', []),
    clientAuth: tls.choice('clientauth', CLIENT_AUTH, 'require-and-verify-client-cert'),
    minimumVersion:
      TLS_VERSIONS[tls.choice('minimumtls', Object.keys(TLS_VERSIONS), 'tls1.2')] ?? 'TLSv1.2',
    cipherSuites: readCiphers(tls),
  };
  if (rest.minimumVersion === 'TLSv1' || rest.minimumVersion === 'TLSv1.1') {
    tls.warning(
      'minimumtls',
      'TLS before 1.2 is broken; allow it only for engines that speak nothing newer',
    );
  }
  if (certificate === undefined && key === undefined) {
    return letsEncrypt && { files: undefined, letsEncrypt, ...rest };
  }
  if (letsEncrypt !== undefined)
    tls.warning('letsencrypt', 'ignored, since certificate and key are set; keep one of the two');
  if (certificate === undefined)
    tls.mistake('certificate', 'expected the path of the certificate that belongs to key');
  if (key === undefined)
    tls.mistake('key', 'expected the path of the key that belongs to certificate');
  const files = { certificate: certificate ?? '', key: key ?? '' };
  return { files, letsEncrypt: undefined, ...rest };
}

const LETS_ENCRYPT = 'https://acme-v02.api.letsencrypt.org/directory';
const HOST_NAME =
  /^(?=.{1,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?$/;

function readLetsEncrypt(section: Section): LetsEncryptConfig | undefined {
  const hosts = section.strings('hosts', []).map((host) => host.toLowerCase());
  // The sample files of distribution set all of them to ''.
  const email = section.string('email') || undefined;
  const cacheFolder = section.string('cachefile') || undefined;
  const directoryUrl = section.url('directoryurl') ?? LETS_ENCRYPT;
  if (hosts.length === 0 && email === undefined && cacheFolder === undefined) return undefined;
  if (hosts.length === 0) {
    section.mistake(
      'hosts',
      'expected the names that get a certificate, such as [registry.example]',
    );
  }
  for (const host of hosts) {
    if (!HOST_NAME.test(host))
      section.mistake(
        'hosts',
        `expected names such as registry.example, without port or *, got "${host}"`,
      );
  }
  return { hosts: [...new Set(hosts)], email, cacheFolder, directoryUrl };
}

function readCiphers(tls: Section): string[] {
  return tls.strings('ciphersuites', []).flatMap((iana) => {
    const name = opensslCipher(iana);
    if (name === undefined) {
      tls.mistake(
        'ciphersuites',
        `there is no cipher suite "${iana}"; expected a name such as TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`,
      );
    }
    return name ?? [];
  });
}

function readTimeouts(timeouts: Section): TimeoutConfig {
  return {
    headersSeconds: timeouts.duration('headers', 60),
    keepAliveSeconds: timeouts.duration('keepalive', 75),
    idleSeconds: timeouts.duration('idle', 300),
  };
}

function readLimits(limits: Section): LimitConfig {
  return {
    manifestBytes: limits.bytes('manifestbytes', { min: 1024 }, 4 * 1024 * 1024),
    jsonBytes: limits.bytes('jsonbytes', { min: 1024 }, 1024 * 1024),
    headerBytes: limits.bytes('headerbytes', { min: 4096, max: 1024 * 1024 }, 32 * 1024),
    connections: limits.integer('connections', {}, 0),
    concurrentUploads: limits.integer('concurrentuploads', {}, 0),
    requestsPerMinute: limits.integer('requestsperminute', {}, 0),
  };
}

function readDebug(debug: Section): DebugConfig | undefined {
  const listen = debug.address('addr');
  const prometheus = debug.section('prometheus');
  const settings = {
    prometheus: prometheus.boolean('enabled', false),
    metricsPath: prometheus.string('path', '/metrics'),
    profiles: debug.section('pprof').boolean('enabled', false),
  };
  return listen === undefined ? undefined : { listen, ...settings };
}
