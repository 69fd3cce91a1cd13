import { lookup } from 'node:dns/promises';
import { connect as tlsConnect } from 'node:tls';
import { type Diagnosis, ok, problem, skipped, warning } from './finding.ts';

/** More than the body limit that proxies have by default, such as nginx's 1 MiB. */
const BIG_BODY_BYTES = 2 * 1024 * 1024;
const SKEW_MS = 30_000;
const TIMEOUT_MS = 10_000;
/** Where the upload is tried; nothing of it stays. */
const PROBE = 'isthmus-doctor/probe';
const TRIES = 5;

export interface RemoteOptions {
  /** `USER:PASSWORD` for Basic authorization. */
  login?: string;
  now?: () => number;
}

/** Looks at a registry from where its clients are. Later looks are left out when an earlier one makes them senseless. */
export async function checkUrl(text: string, options: RemoteOptions = {}): Promise<Diagnosis[]> {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol)) {
    return [problem('URL', `${text} is none`, 'give it as https://registry.example')];
  }
  const found = [await checkName(url)];
  if (found[0]?.verdict === 'problem') return found;
  found.push(...(await checkTls(url)), checkPlain(url));
  const base = await get(url, '/v2/', options);
  if (base instanceof Error) {
    return [...found, problem('connection', base.message, connectionFix(base, url))];
  }
  found.push(checkBase(base), checkClock(base, (options.now ?? Date.now)()), checkChallenge(base));
  found.push(await checkV1(url, options));
  if (base.status === 200 || options.login !== undefined)
    found.push(...(await checkUpload(url, options)));
  else found.push(skipped('upload', 'needs a login that may push: --login USER:PASSWORD'));
  return found;
}

async function checkName(url: URL): Promise<Diagnosis> {
  const name = url.hostname.replace(/^\[|\]$/g, '');
  try {
    const { address } = await lookup(name);
    return ok('host name', address === name ? name : `${name} is ${address}`);
  } catch {
    return problem('host name', `${name} is unknown here`, 'correct the name, DNS, or /etc/hosts');
  }
}

/** Whether engines accept the certificate, and whether those that know nothing newer than TLS 1.2 get through. */
async function checkTls(url: URL): Promise<Diagnosis[]> {
  if (url.protocol !== 'https:') return [];
  const strict = await shakeHands(url, {});
  const old = await shakeHands(url, { maxVersion: 'TLSv1.2', rejectUnauthorized: false });
  const found: Diagnosis[] = [];
  if (strict === undefined) found.push(ok('certificate', 'accepted'));
  else if (/wrong version number|packet length too long/i.test(strict)) {
    return [problem('TLS', 'this port speaks plain HTTP', `use http://${url.host}`)];
  } else {
    found.push(
      problem(
        'certificate',
        strict,
        `serve the whole chain for ${url.hostname}; of your own CA, put ca.crt into /etc/docker/certs.d/${url.host}/`,
      ),
    );
  }
  found.push(
    old === undefined
      ? ok('TLS version', 'TLS 1.2 is spoken')
      : warning(
          'TLS version',
          `TLS 1.2 is refused (${old}), and no engine before docker 18.09 knows a newer one`,
          'allow TLS 1.2: http.tls.minimumtls: tls1.2, or ssl_protocols TLSv1.2 TLSv1.3 in nginx',
        ),
  );
  return found;
}

function shakeHands(
  url: URL,
  options: { maxVersion?: 'TLSv1.2'; rejectUnauthorized?: boolean },
): Promise<string | undefined> {
  const host = url.hostname.replace(/^\[|\]$/g, '');
  const servername = /^[\d.]+$|:/.test(host) ? {} : { servername: host };
  return new Promise((resolve) => {
    const socket = tlsConnect({ host, port: Number(url.port || 443), ...servername, ...options });
    const end = (reason: string | undefined) => {
      socket.destroy();
      resolve(reason);
    };
    socket.setTimeout(TIMEOUT_MS, () => end('no answer'));
    socket.once('secureConnect', () => end(undefined));
    socket.once('error', (error) => end(error.message));
  });
}

function checkPlain(url: URL): Diagnosis {
  const what = 'encryption';
  if (url.protocol === 'https:') return ok(what, 'https');
  if (/^(localhost|127\..*|\[::1\])$/.test(url.hostname)) {
    return ok(what, 'plain HTTP, which engines accept on localhost');
  }
  return warning(
    what,
    'plain HTTP: engines try https first, and refuse',
    `put TLS in front, or name it to each engine: "insecure-registries": ["${url.host}"] in /etc/docker/daemon.json`,
  );
}

function checkBase(answer: Response): Diagnosis {
  const what = 'registry';
  const api = answer.headers.get('docker-distribution-api-version');
  const server = answer.headers.get('server');
  if (answer.status === 503) {
    return problem(
      what,
      'it says 503, so a health check fails',
      'look at /debug/health and the log',
    );
  }
  if (answer.status === 429) return tooMany(what, answer);
  if (answer.status !== 200 && answer.status !== 401) {
    return problem(
      what,
      `/v2/ is answered with ${answer.status}${server === null ? '' : ` by ${server}`}`,
      'pass /v2/ (and /v1/) to the registry unchanged, and see that protocols.v2 is enabled',
    );
  }
  if (api === null) {
    return warning(
      what,
      'the answer lacks Docker-Distribution-Api-Version, without which engines take it for V1',
      'let the proxy pass the header, or: add_header Docker-Distribution-Api-Version registry/2.0 always',
    );
  }
  return ok(what, `V2 is served (${answer.status})`);
}

/** This address, or the one that a proxy shows for everybody, has used up what it may. */
function tooMany(what: string, answer: Response): Diagnosis {
  return problem(
    what,
    `it refuses this address for ${answer.headers.get('retry-after') ?? 'some'} seconds (429), after too many requests or wrong passwords`,
    'wait; if a proxy stands in front, have it pass X-Forwarded-For, and name it in http.trustedproxies, so that not all clients count as one',
  );
}

/** Tokens and signatures are refused when clocks differ by more than a minute. */
function checkClock(answer: Response, now: number): Diagnosis {
  const what = 'clock';
  const there = Date.parse(answer.headers.get('date') ?? '');
  if (Number.isNaN(there)) return skipped(what, 'the answer has no Date');
  const seconds = Math.round((there - now) / 1000);
  if (Math.abs(there - now) <= SKEW_MS) return ok(what, `${Math.abs(seconds)} s apart`);
  const direction = seconds > 0 ? 'ahead of' : 'behind';
  return problem(
    what,
    `the registry is ${Math.abs(seconds)} s ${direction} this host`,
    'run an NTP client (chrony, systemd-timesyncd) on both',
  );
}

function checkChallenge(answer: Response): Diagnosis {
  const what = 'login';
  const challenge = answer.headers.get('www-authenticate');
  if (answer.status !== 401) return ok(what, 'not asked for');
  if (challenge === null) {
    return problem(
      what,
      '401 without WWW-Authenticate, so no client knows how to log in',
      'let the proxy pass the header',
    );
  }
  const realm = /realm="(https?:[^"]+)"/.exec(challenge)?.[1];
  if (/^bearer/i.test(challenge) && realm === undefined) {
    return problem(what, `the token realm is no URL: ${challenge}`, 'set auth.token.realm to one');
  }
  if (realm?.startsWith('http://') && answer.url.startsWith('https://')) {
    return problem(
      what,
      `the token realm is plain HTTP: ${realm}`,
      'have the proxy set X-Forwarded-Proto, or set auth.token.realm to the https address',
    );
  }
  return ok(what, challenge);
}

async function checkV1(url: URL, options: RemoteOptions): Promise<Diagnosis> {
  const what = 'old engines';
  const answer = await get(url, '/v1/_ping', options);
  if (answer instanceof Error || answer.status !== 200) {
    return warning(
      what,
      '/v1/_ping does not answer, so engines before docker 1.6 find nothing',
      'pass /v1/ to the registry as well, and see that protocols.v1 is enabled',
    );
  }
  return ok(what, 'V1 is served');
}

/** Sends an upload as engines do, and gives it up: what proxies in front break shows here. */
async function checkUpload(url: URL, options: RemoteOptions): Promise<Diagnosis[]> {
  const started = await send(url, 'POST', `/v2/${PROBE}/blobs/uploads/`, options);
  if (started instanceof Error) return [problem('upload', started.message, 'look at the log')];
  if (started.status !== 202) return [refusedUpload(started)];
  const location = started.headers.get('location') ?? '';
  const target = new URL(location, url);
  const found = [...checkLocation(url, location)];
  // The address that was asked is known to work, whatever the Location says.
  const path = `${target.pathname}${target.search}`;
  found.push(await checkSameStore(url, path, options));
  const body = Buffer.alloc(BIG_BODY_BYTES);
  const patched = await send(url, 'PATCH', path, options, body);
  found.push(checkBody(patched));
  await send(url, 'DELETE', path, options);
  return found;
}

function refusedUpload(answer: Response): Diagnosis {
  const what = 'upload';
  if (answer.status === 401 || answer.status === 403) {
    return skipped(what, `this login may not push (${answer.status})`);
  }
  if (answer.status === 405) return ok(what, 'the registry is read-only');
  if (answer.status === 429) return tooMany(what, answer);
  if (answer.status === 503) {
    return problem(
      what,
      'the storage takes no writes',
      'isthmus doctor on that host, as the user that runs the registry, says why',
    );
  }
  if (answer.status === 507) {
    return problem(
      what,
      'the storage is full',
      'free space; isthmus doctor on that host says more',
    );
  }
  return problem(what, `starting one is answered with ${answer.status}`, 'look at the log');
}

/** What a proxy must pass on for the registry to know its own address. */
function checkLocation(url: URL, location: string): Diagnosis[] {
  const what = 'address in answers';
  const target = new URL(location, url);
  const found: Diagnosis[] = [];
  if (target.host !== url.host) {
    found.push(
      problem(
        what,
        `the registry believes to be ${target.host}, not ${url.host}: the proxy drops Host`,
        'nginx: proxy_set_header Host $http_host; or set http.host to the public address',
      ),
    );
  }
  if (target.protocol !== url.protocol) {
    found.push(
      problem(
        what,
        `the registry believes to be reached by ${target.protocol}//, not ${url.protocol}//`,
        'nginx: proxy_set_header X-Forwarded-Proto $scheme; or set http.host to the public address',
      ),
    );
  }
  return found.length > 0 ? found : [ok(what, `${target.protocol}//${target.host}`)];
}

/** Whether every node behind this address knows what one of them began. */
async function checkSameStore(url: URL, path: string, options: RemoteOptions): Promise<Diagnosis> {
  const what = 'nodes';
  const statuses: number[] = [];
  for (let n = 0; n < TRIES; n += 1) {
    const answer = await send(url, 'GET', path, options);
    if (!(answer instanceof Error)) statuses.push(answer.status);
  }
  const strangers = statuses.filter((status) => status >= 400).length;
  if (strangers === 0) return ok(what, `an upload is known to whoever answers (${TRIES} tries)`);
  return problem(
    what,
    `${strangers} of ${TRIES} answers do not know an upload that was just begun (${statuses})`,
    'give every node the same storage and the same http.secret',
  );
}

function checkBody(answer: Response | Error): Diagnosis {
  const what = 'large bodies';
  const size = `${BIG_BODY_BYTES / 1024 / 1024} MiB`;
  const fix = 'nginx: client_max_body_size 0; (and proxy_request_buffering off;)';
  if (answer instanceof Error) return problem(what, `${size} broke off: ${answer.message}`, fix);
  if (answer.status === 413) return problem(what, `${size} are refused by something in front`, fix);
  if (answer.status !== 202) {
    return problem(what, `${size} are answered with ${answer.status}`, 'look at the log');
  }
  return ok(what, `${size} in one piece arrive`);
}

function connectionFix(error: Error, url: URL): string {
  const reason = error.message;
  if (/ECONNREFUSED/.test(reason)) return 'start the registry, or correct the port';
  if (/certificate|self.signed|altnames/i.test(reason)) return 'see the certificate above';
  if (/Parse Error|other side closed/i.test(reason) && url.protocol === 'http:')
    return `this port speaks TLS: use https://${url.host}`;
  return 'look for a firewall in between';
}

function get(url: URL, path: string, options: RemoteOptions): Promise<Response | Error> {
  return send(url, 'GET', path, options);
}

async function send(
  url: URL,
  method: string,
  path: string,
  { login }: RemoteOptions,
  body?: Buffer,
): Promise<Response | Error> {
  const headers: Record<string, string> = { Connection: 'close' };
  if (login !== undefined) headers.Authorization = `Basic ${Buffer.from(login).toString('base64')}`;
  if (body !== undefined) headers['Content-Type'] = 'application/octet-stream';
  try {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    const init = { method, headers, signal, redirect: 'manual' as const };
    const answer = await fetch(new URL(path, url), body === undefined ? init : { ...init, body });
    await answer.arrayBuffer();
    return answer;
  } catch (error) {
    const { cause } = error as Error;
    return cause instanceof Error ? cause : (error as Error);
  }
}
