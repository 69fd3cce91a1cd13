import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { connect } from 'node:tls';
import { eventually } from '../support/eventually.ts';
import { freePort } from '../support/free-port.ts';
import { RegistryProcess } from '../support/registry-process.ts';
import { Pebble } from './support/pebble.ts';
import { Workspace } from './support/workspace.ts';

const HOSTS = ['one.registry.test', 'two.registry.test'];
const MONTHS = 90 * 24 * 3600;
const SLOW_MS = 60_000;

/** Certificates that are fetched by themselves, from Let's Encrypt's own test server. */
describe('acme', { timeout: 300_000 }, () => {
  let work: Workspace;
  let pebble: Pebble;
  let port: number;

  before(async () => {
    work = await Workspace.create();
    pebble = work.keep(await Pebble.prepare(join(work.path, 'pebble')));
    port = await freePort();
  });
  after(() => work.end());

  /** A registry over the store of this name. */
  async function start(store: string, { workers = 1, cachefile = '' } = {}) {
    const config = join(work.path, `${store}.yml`);
    await writeFile(
      config,
      `version: 0.1
workers: ${workers}
storage: { filesystem: { rootdirectory: "${join(work.path, store)}" } }
http:
  addr: "127.0.0.1:${port}"
  tls:
    letsencrypt:
      email: root@registry.test
      hosts: [${HOSTS.join(', ')}]
      directoryurl: ${pebble.directoryUrl}
      cachefile: "${cachefile}"
`,
    );
    return work.keep(
      await RegistryProcess.start(
        {
          NODE_EXTRA_CA_CERTS: pebble.trust,
          SETTINGS_FLAVOR: '',
        },
        [config],
      ),
    );
  }

  /** The certificate that a client sees who asks for `host` and believes `root`. */
  async function seen(host: string, root: string) {
    const socket = connect({ port, host: '127.0.0.1', servername: host, ca: root });
    try {
      await once(socket, 'secureConnect');
      socket.write(`GET /v2/ HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`);
      const [answer] = await once(socket, 'data');
      assert.match(String(answer), /^HTTP\/1\.1 200 /);
      const { serialNumber, subjectaltname, valid_to } = socket.getPeerCertificate();
      return { serialNumber, subjectaltname, expires: Date.parse(valid_to) };
    } finally {
      socket.destroy();
    }
  }

  async function fetched(registry: RegistryProcess, host: string) {
    const isIt = (line: Record<string, unknown>) =>
      line.event === 'certificate fetched' && line.host === host;
    await eventually(() => registry.log().some(isIt), `certificate of ${host}`, SLOW_MS).catch(
      (error: Error) => {
        throw new Error(`${error.message}: ${registry.output.stderr}`);
      },
    );
  }

  it('fetches a certificate for each host once, shows it from every worker, and keeps it over a restart', async () => {
    await pebble.start({ tlsPort: port, validity: MONTHS });
    const root = await pebble.root();
    const first = await start('kept', { workers: 2 });
    for (const host of HOSTS) await fetched(first, host);
    const serials: string[] = [];
    for (const host of HOSTS) {
      const shown = await seenByAll(host, root);
      assert.equal(shown.subjectaltname, `DNS:${host}`);
      serials.push(shown.serialNumber);
    }
    assert.equal(first.log().filter(({ event }) => event === 'certificate fetched').length, 2);
    await first.stop();
    await pebble.stop();

    const second = await start('kept');
    for (const [n, host] of HOSTS.entries())
      assert.equal((await seen(host, root)).serialNumber, serials[n]);
    await second.stop();
  });

  /** Waits until eight connections in a row, which go to all workers, see one certificate. */
  async function seenByAll(host: string, root: string) {
    return await eventually(
      async () => {
        const all = [];
        for (let n = 0; n < 8; n += 1) all.push(await seen(host, root).catch(() => undefined));
        const [one] = all;
        return all.every((each) => each?.serialNumber === one?.serialNumber) ? one : undefined;
      },
      `${host} from every worker`,
      SLOW_MS,
    );
  }

  it('serves on while the CA is down, says what would help, and fetches when it is back', async () => {
    const folder = join(work.path, 'cache');
    const registry = await start('down', { cachefile: folder });
    const { reason, nextTry } = await registry.event(
      'certificate not fetched; TLS of this host fails until it is',
    );
    assert.match(String(reason), /can't reach the CA at https:.*ECONNREFUSED.*directoryurl/);
    assert.ok(Date.parse(String(nextTry)) > Date.now());
    await assert.rejects(seen(HOSTS[0] ?? '', ''));
    await pebble.start({ tlsPort: port, validity: MONTHS });
    for (const host of HOSTS) await fetched(registry, host);
    const root = await pebble.root();
    for (const host of HOSTS) assert.ok((await seen(host, root)).expires > Date.now());
    assert.match(await readFile(join(folder, HOSTS[0] ?? ''), 'utf8'), /BEGIN CERTIFICATE/);
    await registry.stop();
    await pebble.stop();
  });

  it('renews while it serves, and keeps the old certificate when that fails', async () => {
    await pebble.start({ tlsPort: port, validity: 24 });
    const root = await pebble.root();
    const registry = await start('renewed');
    const [host = ''] = HOSTS;
    await fetched(registry, host);
    const first = await seen(host, root);
    const next = await eventually(
      async () => {
        const now = await seen(host, root);
        return now.serialNumber === first.serialNumber ? undefined : now;
      },
      'a renewed certificate',
      SLOW_MS,
    );
    assert.ok(next.expires > first.expires);
    await pebble.stop();
    const failed = await eventually(
      () =>
        registry
          .log()
          .find(
            (line) =>
              line.event === 'certificate not renewed; the old one stays' && line.host === host,
          ),
      'the failure',
      SLOW_MS,
    );
    assert.match(String(failed.reason), /can't reach the CA/);
    assert.equal((await seen(host, root)).serialNumber, next.serialNumber);
    await registry.stop();
  });

  it('names the port when the CA does not find this registry behind the host', async () => {
    await pebble.start({ tlsPort: await freePort(), validity: MONTHS });
    const registry = await start('elsewhere');
    const { reason, host } = await registry.event(
      'certificate not fetched; TLS of this host fails until it is',
    );
    assert.match(String(reason), /its port 443 must be open to the CA/);
    assert.match(String(reason), new RegExp(`^${host}: `));
    await registry.stop();
    await pebble.stop();
  });
});
