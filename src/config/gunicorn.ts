import { applyVariable, type Environment, parseVariable } from './environment.ts';
import type { Findings, Origin } from './findings.ts';
import { type MapNode, putAt } from './tree.ts';

/** docker-registry's environment beside its file (v1.md 4.4), and the setting that each stands for. */
const VARIABLES: Record<string, string> = {
  REGISTRY_HOST: 'listen.host',
  REGISTRY_PORT: 'listen.port',
  GUNICORN_WORKERS: 'workers',
  GUNICORN_GRACEFUL_TIMEOUT: 'http.draintimeout',
  GUNICORN_SILENT_TIMEOUT: 'process.silent_timeout',
  GUNICORN_USER: 'process.user',
  GUNICORN_GROUP: 'process.group',
  GUNICORN_MAX_REQUESTS: 'process.max_requests',
  GUNICORN_ACCESS_LOG_FILE: 'process.access_log_file',
  GUNICORN_ERROR_LOG_FILE: 'process.error_log_file',
};

/** gunicorn's options that mean something here. */
const OPTIONS: Record<string, string> = {
  '-b': 'http.addr',
  '--bind': 'http.addr',
  '-w': 'workers',
  '--workers': 'workers',
  '-t': 'process.silent_timeout',
  '--timeout': 'process.silent_timeout',
  '--graceful-timeout': 'http.draintimeout',
  '--keep-alive': 'http.timeouts.keepalive',
  '--max-requests': 'process.max_requests',
  '--max-requests-jitter': 'process.max_requests_jitter',
  '--worker-connections': 'http.limits.connections',
  '-u': 'process.user',
  '--user': 'process.user',
  '-g': 'process.group',
  '--group': 'process.group',
  '-p': 'process.pid_file',
  '--pid': 'process.pid_file',
  '--access-logfile': 'process.access_log_file',
  '--log-file': 'process.error_log_file',
  '--error-logfile': 'process.error_log_file',
  '--log-level': 'log.level',
  '--certfile': 'http.tls.certificate',
  '--keyfile': 'http.tls.key',
  '--ca-certs': 'http.tls.clientcas',
  '--forwarded-allow-ips': 'http.trustedproxies',
};

/** Options without a value; all others take one. */
const FLAGS = new Set([
  '--preload',
  '--reload',
  '--spew',
  '--daemon',
  '-D',
  '--debug',
  '--check-config',
]);

const AGENT = ['NEW_RELIC_CONFIG_FILE', 'NEW_RELIC_LICENSE_KEY', 'NEW_RELIC_INI'];

/** Lays docker-registry's run-time variables over a tree. What has no meaning here is named in a warning. */
export function applyGunicornEnvironment(
  root: MapNode,
  environment: Environment,
  findings: Findings,
): void {
  applyOptions(root, environment, findings);
  for (const [variable, path] of Object.entries(VARIABLES)) {
    applyVariable(root, environment, variable, path, findings);
  }
  for (const variable of AGENT) {
    if (environment[variable]) {
      findings.warning(
        '',
        { kind: 'environment', variable },
        'the New Relic agent for Python has no meaning here; ignored',
      );
    }
  }
}

function applyOptions(root: MapNode, environment: Environment, findings: Findings): void {
  const variable = 'GUNICORN_OPTS';
  const origin: Origin = { kind: 'environment', variable };
  const words = optionWords(environment[variable], findings);
  const ignored: string[] = [];
  while (words.length > 0) {
    const word = words.shift() ?? '';
    const [name = '', inline] = word.startsWith('--') ? splitOnce(word) : [word];
    const path = OPTIONS[name];
    const next = FLAGS.has(name) || words[0]?.startsWith('-') === true ? undefined : words[0];
    const value = inline ?? (name.startsWith('-') ? next : undefined);
    if (inline === undefined && value !== undefined) words.shift();
    if (path === undefined) ignored.push(name);
    else if (value === undefined) findings.mistake('', origin, `${name} needs a value`);
    else putAt(root, path, { kind: 'scalar', text: value, quoted: false, origin, writtenAs: name });
  }
  if (ignored.length > 0)
    findings.warning('', origin, `no meaning here, ignored: ${ignored.join(' ')}`);
}

/** A YAML list as docker-registry wanted it, or the plain text that people write. */
function optionWords(value: string | undefined, findings: Findings): string[] {
  if (value === undefined || value.trim() === '') return [];
  if (!value.trim().startsWith('[')) return value.trim().split(/\s+/);
  const node = parseVariable('GUNICORN_OPTS', value, findings);
  const items = node?.kind === 'list' ? node.items : [];
  return items.flatMap((item) => (item.kind === 'scalar' ? item.text.split(/\s+/) : []));
}

function splitOnce(word: string): [string, string | undefined] {
  const at = word.indexOf('=');
  return at < 0 ? [word, undefined] : [word.slice(0, at), word.slice(at + 1)];
}
