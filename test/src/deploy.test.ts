import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { parse, parseAllDocuments } from 'yaml';
import { loadConfig } from '../../src/config/load.ts';
import { packageRoot } from '../../src/package-root.ts';
import { type DebugServer, startDebugServer } from '../support/debug-server.ts';
import { request } from '../support/http-client.ts';
import { makeV2Image } from '../support/images.ts';
import { V2Client } from '../support/v2-client.ts';

const deploy = (name: string) => readFile(join(packageRoot(), 'deploy', name), 'utf8');

/** The environment of the container called isthmus in Kubernetes' form. */
interface Workload {
  kind: string;
  spec?: {
    template?: {
      spec?: { containers?: { name: string; env?: { name: string; value: string }[] }[] };
    };
  };
}

describe('the Dockerfile', () => {
  it('copies what .dockerignore lets in', async () => {
    const lines = async (name: string) =>
      (await readFile(join(packageRoot(), name), 'utf8')).split('\n');
    const copies = (await lines('Dockerfile')).filter((line) => /^COPY (?!--from)/.test(line));
    const copied = copies.flatMap((line) => line.split(' ').slice(1, -1));
    const ignore = await lines('.dockerignore');
    assert.ok(copied.includes('src'));
    for (const name of copied) assert.ok(ignore.includes(`!${name}`), `${name} is left out`);
  });
});

describe('deploy/', () => {
  function expectUnderstood(environment: Record<string, string>): void {
    const { config, warnings } = loadConfig(undefined, environment);
    assert.deepEqual(warnings, []);
    assert.equal(config.source.flavor, 'prod');
    assert.equal(config.workers.count, 2);
    assert.deepEqual(config.http.debug?.listen, { kind: 'tcp', host: '', port: 5001 });
    assert.equal(config.http.debug?.prometheus, true);
    assert.ok(config.auth.htpasswd?.path);
  }

  it('docker-compose.yml sets what the configuration understands', async () => {
    const file = parse(await deploy('docker-compose.yml')) as {
      services: { isthmus: { environment: Record<string, string> } };
    };
    expectUnderstood(file.services.isthmus.environment);
  });

  it('kubernetes/isthmus.yaml sets what the configuration understands', async () => {
    const documents = parseAllDocuments(await deploy('kubernetes/isthmus.yaml'));
    const all = documents.map((each) => each.toJS() as Workload);
    const workload = all.find(({ kind }) => kind === 'Deployment');
    const container = workload?.spec?.template?.spec?.containers?.[0];
    const environment = (container?.env ?? []).map(({ name, value }) => [name, value]);
    expectUnderstood(Object.fromEntries(environment) as Record<string, string>);
  });

  describe('grafana-dashboard.json', () => {
    let running: DebugServer;
    before(async () => {
      running = await startDebugServer(
        "notifications: { endpoints: [{ name: ci, url: 'http://127.0.0.1:1/' }] }",
      );
      await new V2Client(running.server.url).pushImage(
        'a',
        'v1',
        makeV2Image({ seed: 1, layers: 1 }),
      );
    });
    after(() => running.end());

    it('asks only for metrics that there are', async () => {
      const known = new Set(
        (await request(`${running.debugUrl}/metrics`)).body.toString().match(/^[a-z]\w+/gm),
      );
      const expressions = [...(await deploy('grafana-dashboard.json')).matchAll(/"expr": "(.*)"/g)];
      assert.ok(expressions.length > 15);
      const asked = expressions.flatMap(
        ([, text = '']) => text.match(/\b(registry|isthmus|process|nodejs)_\w+/g) ?? [],
      );
      assert.deepEqual(
        asked.filter((name) => !known.has(name)),
        [],
      );
    });
  });
});
