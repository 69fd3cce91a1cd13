import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { checkUrl } from '../../src/doctor/remote-checks.ts';
import { packageRoot } from '../../src/package-root.ts';
import type { ChildServer } from '../support/child-server.ts';
import { startIsthmus } from '../support/child-server.ts';
import { freePort } from '../support/free-port.ts';
import { request } from '../support/http-client.ts';
import { Seeded } from '../support/seeded.ts';
import { makeCertificate } from '../support/self-signed.ts';
import { sha256 } from '../support/tar-layer.ts';
import { V2Client } from '../support/v2-client.ts';
import { BUILT_FILES, BUILT_OUTPUT, writeContext } from './support/busybox-image.ts';
import { run, tool } from './support/command.ts';
import { ContainerTools } from './support/container-tools.ts';
import { DockerDaemon } from './support/docker-daemon.ts';
import { expectRootfs } from './support/rootfs.ts';
import { Workspace } from './support/workspace.ts';

/** A real nginx with deploy/nginx.conf, of which only ports and paths are changed. */
class Nginx {
  readonly host: string;
  readonly plainUrl: string;
  readonly config: string;
  /** Method and location of each request, the internal one where it was sent on to that. */
  readonly accessLog: string;
  #child: ReturnType<typeof spawn> | undefined;

  private constructor(config: string, accessLog: string, tlsPort: number, plainPort: number) {
    this.config = config;
    this.accessLog = accessLog;
    this.host = `127.0.0.1:${tlsPort}`;
    this.plainUrl = `http://127.0.0.1:${plainPort}`;
  }

  /** With `files`, the folder of the store, nginx sends the files of layers itself. */
  static async write(folder: string, upstream: string, files?: string): Promise<Nginx> {
    const { certificate, key } = makeCertificate(folder);
    const [tlsPort, plainPort] = [await freePort(), await freePort()];
    const sample = await readFile(join(packageRoot(), 'deploy/nginx.conf'), 'utf8');
    const changed = sample
      .replace('127.0.0.1:5000', upstream)
      .replace('/etc/nginx/tls/cert.pem', certificate)
      .replace('/etc/nginx/tls/key.pem', key)
      .replace('listen 80;', `listen 127.0.0.1:${plainPort};`)
      .replace('listen 443 ssl;', `listen 127.0.0.1:${tlsPort} ssl;`)
      .replaceAll(/^ *listen \[::\].*$/gm, '')
      .replaceAll('registry.example', 'localhost')
      .replaceAll(
        /^ {4}#(?=location \/isthmus-files|}| {4})/gm,
        files === undefined ? '$&' : '    ',
      )
      .replace('/var/lib/registry', files ?? '$&');
    const config = join(folder, 'nginx.conf');
    await writeFile(
      config,
      `daemon off; user root; pid ${folder}/pid; error_log ${folder}/error.log info;
events {}
http {
  log_format location '$request_method $uri';
  access_log ${folder}/access.log location;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi; uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
${changed}
}
`,
    );
    return new Nginx(config, join(folder, 'access.log'), tlsPort, plainPort);
  }

  async start(): Promise<void> {
    this.#child = spawn(tool('nginx'), ['-c', this.config], { stdio: 'ignore' });
    for (const deadline = Date.now() + 10_000; ; ) {
      try {
        await request(this.plainUrl);
        return;
      } catch (error) {
        if (Date.now() > deadline) throw error;
        await new Promise((resolve) => setTimeout(resolve, 50));
      }
    }
  }

  async stop(): Promise<void> {
    const child = this.#child;
    if (child === undefined || child.exitCode !== null) return;
    const gone = once(child, 'exit');
    child.kill('SIGQUIT');
    await gone;
  }
}

describe('behind nginx with deploy/nginx.conf', { timeout: 300_000 }, () => {
  let work: Workspace;
  let server: ChildServer;
  let nginx: Nginx;
  let daemon: DockerDaemon;
  let tools: ContainerTools;

  before(async () => {
    work = await Workspace.create();
    server = work.keep(await startIsthmus({ storage: await work.folder('registry') }));
    nginx = work.keep(await Nginx.write(await work.folder('nginx'), server.host));
    await run('nginx', ['-t', '-c', nginx.config]);
    await nginx.start();
    daemon = work.keep(await DockerDaemon.start(await work.folder('docker')));
    tools = new ContainerTools(await work.folder('tools'));
  });
  after(() => work.end());

  it('docker pushes over TLS, and pulls and runs what it pushed', async () => {
    const image = `${nginx.host}/team/built:v1`;
    const context = await writeContext(await work.folder('context'));
    await daemon.docker(['build', '--quiet', '--network', 'none', '--tag', image, context]);
    await daemon.docker(['push', '--quiet', image]);
    await daemon.forget(image);
    await daemon.docker(['pull', '--quiet', image]);
    assert.equal(await daemon.runContainer(image), BUILT_OUTPUT);
  });

  it('skopeo gets the same files', async () => {
    const folder = join(work.path, 'skopeo');
    const layers = await tools.skopeoLayers(`${nginx.host}/team/built:v1`, `${folder}-dir`);
    await expectRootfs(layers, `${folder}-rootfs`, BUILT_FILES);
  });

  it('the doctor finds nothing but the certificate that signs itself', async () => {
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    try {
      const found = await checkUrl(`https://${nginx.host}`);
      assert.deepEqual(
        found.filter(({ verdict }) => verdict === 'problem' || verdict === 'warning'),
        [],
      );
      for (const what of ['address in answers', 'large bodies', 'nodes', 'old engines'])
        assert.ok(
          found.some((each) => each.what === what && each.verdict === 'ok'),
          what,
        );
    } finally {
      delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    }
  });

  it('plain HTTP is sent to https', async () => {
    const answer = await request(`${nginx.plainUrl}/v2/`);
    assert.equal(answer.status, 308);
    assert.match(String(answer.headers.location), /^https:\/\/.*\/v2\/$/);
  });
});

describe('behind nginx that sends the files of layers itself', { timeout: 300_000 }, () => {
  let work: Workspace;
  let nginx: Nginx;
  let client: V2Client;
  const large = new Seeded(11).bytes(3_000_000);
  const path = `/v2/team/files/blobs/${sha256(large)}`;

  before(async () => {
    work = await Workspace.create();
    const storage = await work.folder('registry');
    const env = {
      REGISTRY_STORAGE_ACCELREDIRECT: '/isthmus-files',
      REGISTRY_HTTP_TRUSTEDPROXIES: '["127.0.0.1"]',
    };
    const server = work.keep(await startIsthmus({ storage, env }));
    nginx = work.keep(await Nginx.write(await work.folder('nginx'), server.host, storage));
    await run('nginx', ['-t', '-c', nginx.config]);
    process.env.NODE_TLS_REJECT_UNAUTHORIZED = '0';
    await nginx.start();
    client = new V2Client(`https://${nginx.host}`);
    await client.pushBlob('team/files', large);
  });
  after(async () => {
    delete process.env.NODE_TLS_REJECT_UNAUTHORIZED;
    await work.end();
  });

  const sentByNginx = async () => {
    const lines = (await readFile(nginx.accessLog, 'utf8')).trimEnd().split('\n');
    return lines.at(-1)?.startsWith('GET /isthmus-files/docker/registry/v2/blobs/') ?? false;
  };

  it('gives the bytes of a blob with the digest and type that the registry said', async () => {
    const { status, headers, body } = await client.call('GET', path);
    assert.equal(status, 200);
    assert.ok(body.equals(large));
    assert.equal(headers['docker-content-digest'], sha256(large));
    assert.equal(headers.etag, `"${sha256(large)}"`);
    assert.equal(headers['content-type'], 'application/octet-stream');
    assert.equal(headers['docker-distribution-api-version'], 'registry/2.0');
    assert.equal(headers['x-accel-redirect'], undefined);
    assert.equal(headers['last-modified'], undefined);
    assert.ok(await sentByNginx());
  });

  it('gives ranges, also to those who have a part of this very blob', async () => {
    for (const headers of [{}, { 'if-range': `"${sha256(large)}"` }]) {
      const range = { range: 'bytes=1000000-1000999', ...headers };
      const { status, headers: given, body } = await client.call('GET', path, range);
      assert.equal(status, 206);
      assert.ok(body.equals(large.subarray(1_000_000, 1_001_000)));
      assert.equal(given['content-range'], `bytes 1000000-1000999/${large.length}`);
      assert.ok(await sentByNginx());
    }
    const other = { range: 'bytes=0-9', 'if-range': '"sha256:0"' };
    assert.equal((await client.call('GET', path, other)).status, 200);
    assert.equal((await client.call('GET', path, { range: 'bytes=3000000-' })).status, 416);
  });

  it('leaves HEAD, conditions and errors to the registry, and shows its folder to nobody', async () => {
    const head = await client.call('HEAD', path);
    assert.equal(head.headers['content-length'], String(large.length));
    const etag = { 'if-none-match': `"${sha256(large)}"` };
    assert.equal((await client.call('GET', path, etag)).status, 304);
    const missing = await client.call(
      'GET',
      path.replace(/.$/, (last) => (last === '0' ? '1' : '0')),
    );
    assert.equal(missing.status, 404);
    assert.match(missing.body.toString(), /BLOB_UNKNOWN/);
    const hex = sha256(large).slice('sha256:'.length);
    const file = `docker/registry/v2/blobs/sha256/${hex.slice(0, 2)}/${hex}/data`;
    assert.equal((await client.call('GET', `/isthmus-files/${file}`)).status, 404);
  });

  it('docker pushes, pulls and runs the same image', async () => {
    const daemon = work.keep(await DockerDaemon.start(await work.folder('docker')));
    const image = `${nginx.host}/team/built:v1`;
    const context = await writeContext(await work.folder('context'));
    await daemon.docker(['build', '--quiet', '--network', 'none', '--tag', image, context]);
    await daemon.docker(['push', '--quiet', image]);
    await daemon.forget(image);
    await daemon.docker(['pull', '--quiet', image]);
    assert.equal(await daemon.runContainer(image), BUILT_OUTPUT);
  });
});
