import type { Section } from './reader.ts';

/** A Redis or Valkey for what nodes share; never needed. */
export interface RedisConfig {
  /** `host:port`, several for a cluster or sentinels. */
  addresses: string[];
  username: string | undefined;
  password: string | undefined;
  /** Default 0. */
  db: number;
  /** Name of the master that sentinels watch; undefined without sentinels. */
  masterName: string | undefined;
  /** The account at the sentinels. */
  sentinelUsername: string | undefined;
  sentinelPassword: string | undefined;
  /** Seconds. Default 1. */
  dialSeconds: number;
  /** Seconds until an answer is given up. Default 1. */
  readSeconds: number;
  tls: { certificate: string | undefined; key: string | undefined; rootCas: string[] } | undefined;
}

/** Pull-through of an upstream V2 registry (v2.md 6). */
export interface ProxyConfig {
  remoteUrl: string;
  username: string | undefined;
  password: string | undefined;
  /** Seconds until what was fetched is dropped; 0 for never. Default 168 hours. */
  ttlSeconds: number;
}

export interface NotificationsConfig {
  /** Whether a manifest's event lists what it refers to. Default false. */
  includeReferences: boolean;
  endpoints: EndpointConfig[];
}

export interface EndpointConfig {
  name: string;
  url: string;
  headers: Record<string, string[]>;
  /** Seconds until an attempt is given up. Default 1. */
  timeoutSeconds: number;
  /** Failures in a row after which attempts pause. Default 10. */
  threshold: number;
  /** Seconds that attempts pause. Default 1. */
  backoffSeconds: number;
  ignoredMediaTypes: string[];
  ignoredActions: string[];
}

export interface HealthConfig {
  /** Seconds between looks at the storage driver; undefined for none. Default undefined. */
  storageIntervalSeconds: number | undefined;
  /** Failures in a row until the registry counts as ill. Default 1. */
  storageThreshold: number;
  /** Unhealthy while the file exists. */
  files: { file: string; intervalSeconds: number }[];
  http: {
    uri: string;
    headers: Record<string, string[]>;
    timeoutSeconds: number;
    intervalSeconds: number;
    threshold: number;
    status: number;
  }[];
  tcp: { address: string; timeoutSeconds: number; intervalSeconds: number; threshold: number }[];
}

/** Where unexpected errors are mailed to. */
export interface MailConfig {
  host: string;
  /** Default 25. */
  port: number;
  login: string | undefined;
  password: string | undefined;
  /** Whether TLS is demanded: from the first byte on port 465, by STARTTLS elsewhere. Default false. */
  secure: boolean;
  from: string;
  to: string;
}

/** Cross-origin requests, for pages of another origin. */
export interface CorsConfig {
  /** Allowed origins; `*` for any. */
  origins: string[];
  /** Default: GET, HEAD, OPTIONS, PUT, POST, DELETE, PATCH. */
  methods: string[];
  /** Default: Content-Type. */
  headers: string[];
  exposeHeaders: string[];
  /** Default false. */
  supportsCredentials: boolean;
  /** Seconds that a preflight answer may be kept; undefined for the browser's own. */
  maxAgeSeconds: number | undefined;
}

export interface SearchConfig {
  /** Whether `/v1/search` answers. Default true. */
  enabled: boolean;
}

/** The section `redis`, in distribution 2's, distribution 3's or docker-registry's form. */
export function readRedis(root: Section): RedisConfig | undefined {
  const redis = root.section('redis');
  redis.section('pool').idle('maxidle', 'maxactive', 'idletimeout');
  redis.idle(
    'clientname',
    'protocol',
    'maxretries',
    'minretrybackoff',
    'maxretrybackoff',
    'writetimeout',
    'poolfifo',
    'poolsize',
    'pooltimeout',
    'minidleconns',
    'maxidleconns',
    'maxactiveconns',
    'connmaxidletime',
    'connmaxlifetime',
    'routebylatency',
    'routerandomly',
    'readonly',
  );
  const host = redis.string('host');
  const port = redis.integer('port', { min: 1, max: 65_535 }, 6379);
  const addresses =
    redis.strings('addrs') ??
    redis.strings('addr') ??
    (host === undefined ? [] : [`${host}:${port}`]);
  const tls = redis.section('tls');
  const read = {
    addresses,
    username: redis.string('username'),
    password: redis.string('password'),
    db: redis.integer('db', {}, 0),
    masterName: redis.string('mastername'),
    sentinelUsername: redis.string('sentinelusername'),
    sentinelPassword: redis.string('sentinelpassword'),
    dialSeconds: redis.duration('dialtimeout', 1),
    readSeconds: redis.duration('readtimeout', 1),
    tls: readRedisTls(tls),
  };
  return addresses.length === 0 ? undefined : read;
}

function readRedisTls(tls: Section): RedisConfig['tls'] {
  const enabled = tls.boolean('enabled', false);
  const read = {
    certificate: tls.string('certificate'),
    key: tls.string('key'),
    rootCas: tls.strings('rootcas', []),
  };
  const used = enabled || read.certificate !== undefined || read.rootCas.length > 0;
  return used ? read : undefined;
}

/** The section `proxy`. */
export function readProxy(root: Section): ProxyConfig | undefined {
  const proxy = root.section('proxy');
  proxy.idle('exec', 'cachewritetimeout');
  const remoteUrl = proxy.url('remoteurl');
  const read = {
    username: proxy.string('username'),
    password: proxy.string('password'),
    ttlSeconds: proxy.duration('ttl', 168 * 3600),
  };
  return remoteUrl === undefined ? undefined : { remoteUrl, ...read };
}

/** The section `notifications`; endpoints that are disabled are left out. */
export function readNotifications(root: Section): NotificationsConfig {
  const notifications = root.section('notifications');
  const endpoints = notifications.sections('endpoints').flatMap((each) => {
    const endpoint = readEndpoint(each);
    return each.boolean('disabled', false) ? [] : [endpoint];
  });
  return {
    includeReferences: notifications.section('events').boolean('includereferences', false),
    endpoints,
  };
}

function readEndpoint(each: Section): EndpointConfig {
  const ignore = each.section('ignore');
  const url = each.url('url');
  if (url === undefined) each.mistake('url', 'expected the URL that events are posted to');
  return {
    name: each.string('name', url ?? ''),
    url: url ?? '',
    headers: each.stringLists('headers'),
    timeoutSeconds: each.duration('timeout', 1),
    threshold: each.integer('threshold', {}, 10),
    backoffSeconds: each.duration('backoff', 1),
    ignoredMediaTypes: [
      ...each.strings('ignoredmediatypes', []),
      ...ignore.strings('mediatypes', []),
    ],
    ignoredActions: ignore.strings('actions', []),
  };
}

/** The section `health`. */
export function readHealth(root: Section): HealthConfig {
  const health = root.section('health');
  const storage = health.section('storagedriver');
  const interval = storage.duration('interval', 10);
  return {
    storageIntervalSeconds: storage.boolean('enabled', false) ? interval : undefined,
    storageThreshold: storage.integer('threshold', {}, 1) || 1,
    files: health.sections('file').map((each) => {
      each.idle('threshold');
      return { file: each.string('file', ''), intervalSeconds: each.duration('interval', 10) };
    }),
    http: health.sections('http').map((each) => ({
      uri: each.url('uri') ?? '',
      headers: each.stringLists('headers'),
      status: each.integer('statuscode', { min: 100, max: 599 }, 200),
      ...readCheck(each),
    })),
    tcp: health
      .sections('tcp')
      .map((each) => ({ address: each.string('addr', ''), ...readCheck(each) })),
  };
}

function readCheck(each: Section) {
  return {
    timeoutSeconds: each.duration('timeout', 5),
    intervalSeconds: each.duration('interval', 10),
    threshold: each.integer('threshold', {}, 1) || 1,
  };
}

/** The section `email_exceptions`. */
export function readMail(root: Section): MailConfig | undefined {
  const mail = root.section('email_exceptions');
  const host = mail.string('smtp_host');
  const secure = mail.node('smtp_secure');
  const read = {
    port: mail.integer('smtp_port', { min: 1, max: 65_535 }, 25),
    login: mail.string('smtp_login'),
    password: mail.string('smtp_password'),
    // docker-registry also took a key file here, which meant TLS with a client certificate.
    secure:
      secure?.kind === 'map' ||
      (secure !== undefined &&
        !/^(false|no|off)$/i.test(secure.kind === 'scalar' ? secure.text : '')),
    from: mail.string('from_addr', 'docker-registry@localdomain.local'),
    to: mail.string('to_addr', 'noise+dockerregistry@localdomain.local'),
  };
  return host === undefined ? undefined : { host, ...read };
}

/** `exceptions.webhook`: a URL that unexpected errors are posted to. */
export function readErrorWebhook(root: Section): string | undefined {
  return root.section('exceptions').url('webhook');
}

/** The section `cors`; on when `origins` is set. */
export function readCors(root: Section): CorsConfig | undefined {
  const cors = root.section('cors');
  // They steered the Python library's own ways; answers here are always those that browsers need.
  cors.idle('send_wildcard', 'always_send', 'automatic_options', 'vary_header', 'resources');
  const origins = cors.strings('origins');
  const read = {
    methods: cors.strings('methods', ['GET', 'HEAD', 'OPTIONS', 'PUT', 'POST', 'DELETE', 'PATCH']),
    headers: cors.strings('headers', ['Content-Type']),
    exposeHeaders: cors.strings('expose_headers', []),
    supportsCredentials: cors.boolean('supports_credentials', false),
    maxAgeSeconds: cors.duration('max_age'),
  };
  return origins === undefined ? undefined : { origins, ...read };
}

/** The key `search_backend`: none for `false`, else the one index there is. */
export function readSearch(root: Section): SearchConfig {
  const backend = root.string('search_backend', 'builtin');
  if (/^(false|no|off|none)$/i.test(backend)) return { enabled: false };
  if (!/^(builtin|sqlalchemy|true|yes|on)$/i.test(backend)) {
    root.warning(
      'search_backend',
      `the Python module "${backend}" can't be loaded; the built-in index is used`,
    );
  }
  return { enabled: true };
}
