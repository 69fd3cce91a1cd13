import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parsePlatform } from '../../storage/bridge/platform.ts';
import type { Descriptor, Platform } from '../../storage/manifest.ts';
import { BridgeClient, INDEX, LIST, OCI, SCHEMA1, SCHEMA2 } from '../support/bridge-client.ts';
import { fromBase64, readVector } from '../support/bridge-vectors.ts';
import { header, jsonOf } from '../support/http-client.ts';
import { makeV2Image, makeV2Index } from '../support/images.ts';
import { useServer } from '../support/server.ts';
import { sha256 } from '../support/tar-layer.ts';
import { V1Client } from '../support/v1-client.ts';
import { V2Client } from '../support/v2-client.ts';

interface PlatformCase {
  name: string;
  index: string;
  asks: { prefer: string[]; pick: string | null }[];
  configs?: Record<string, Platform>;
  nested?: Record<string, string>;
}

/** One image for each entry of a vector's index, in indexes of the same shape. */
class Rebuilt {
  /** V1 ID by the digest in the vector. */
  readonly ids = new Map<string, string>();
  readonly #case: PlatformCase;
  readonly #client: BridgeClient;
  readonly #name: string;

  constructor(of: PlatformCase, client: BridgeClient, name: string) {
    this.#case = of;
    this.#client = client;
    this.#name = name;
  }

  async push(): Promise<void> {
    const { digest, bytes, mediaType } = await this.#index(fromBase64(this.#case.index));
    await this.#client.pushManifest(this.#name, digest, bytes, mediaType);
    await this.#client.pushManifest(this.#name, 'latest', bytes, mediaType);
  }

  async #index(vector: Buffer) {
    const body = JSON.parse(vector.toString()) as { mediaType?: string; manifests: Descriptor[] };
    const manifests: object[] = [];
    for (const entry of body.manifests) manifests.push({ ...entry, ...(await this.#child(entry)) });
    const bytes = Buffer.from(JSON.stringify({ ...body, manifests }));
    return { bytes, digest: sha256(bytes), size: bytes.length, mediaType: body.mediaType ?? INDEX };
  }

  async #child(entry: Descriptor): Promise<object> {
    const nested = this.#case.nested?.[entry.digest];
    if (nested !== undefined) {
      const { bytes, mediaType, ...found } = await this.#index(fromBase64(nested));
      await this.#client.pushManifest(this.#name, found.digest, bytes, mediaType);
      return found;
    }
    const isDocker = entry.mediaType === SCHEMA2;
    const config = Buffer.from(
      JSON.stringify({
        ...this.#case.configs?.[entry.digest],
        author: entry.digest,
        rootfs: { type: 'layers', diff_ids: [] },
      }),
    );
    await this.#client.pushBlob(this.#name, config);
    const type = isDocker
      ? 'application/vnd.docker.container.image.v1+json'
      : 'application/vnd.oci.image.config.v1+json';
    const mediaType = isDocker ? SCHEMA2 : OCI;
    const described = { mediaType: type, size: config.length, digest: sha256(config) };
    const body = { schemaVersion: 2, mediaType, config: described, layers: [] };
    const bytes = Buffer.from(JSON.stringify(body));
    await this.#client.pushManifest(this.#name, sha256(bytes), bytes, mediaType);
    this.ids.set(entry.digest, sha256(config).slice('sha256:'.length));
    return { digest: sha256(bytes), size: bytes.length };
  }
}

describe('the platform of an index that a V1 client gets', () => {
  let platforms: readonly string[] = [];
  const logged: string[] = [];
  const server = useServer({
    content: {
      policy: { references: true, indexes: 'none' },
      bridge: {
        platforms: () => platforms.map((text) => parsePlatform(text) as Platform),
        onUnbridgeable: (name, _digest, reason) => logged.push(`${name} ${reason}`),
      },
    },
  });
  const client = new BridgeClient(() => server.url);
  const agentOf = (platform: string) => {
    const [os, architecture] = platform.split('/');
    return `docker/1.9.1 go/go1.4.3 git-commit/a34a1d5 kernel/3.16.0 os/${os} arch/${architecture}`;
  };
  const { cases } = readVector<{ cases: PlatformCase[] }>('platform.json');

  for (const [number, vector] of cases.entries()) {
    it(`${vector.name}: as configured, and as the engine says of itself`, async () => {
      const name = `platform/case-${number}`;
      const rebuilt = new Rebuilt(vector, client, name);
      await rebuilt.push();
      for (const { prefer, pick } of vector.asks) {
        const expected = pick === null ? undefined : rebuilt.ids.get(pick);
        platforms = prefer;
        assert.equal(await client.v1Tag(name, 'latest'), expected, `configured ${prefer}`);
        const [own = '', ...rest] = prefer;
        if (own.split('/').length !== 2) continue;
        platforms = rest;
        const id = await client.v1Tag(name, 'latest', agentOf(own));
        assert.equal(id, expected, `${own} by User-Agent, then ${rest}`);
      }
    });
  }

  const index = makeV2Index({
    seed: 90,
    layers: 2,
    format: 'docker',
    architectures: ['amd64', 'arm', 's390x'],
  });
  const idOf = (architecture: string) => {
    const config = index.children[['amd64', 'arm', 's390x'].indexOf(architecture)]?.config;
    return sha256(config ?? Buffer.alloc(0)).slice(7);
  };

  it('gives each engine the tag, the tags and the image list of its own platform', async () => {
    platforms = ['linux/amd64'];
    await new V2Client(server.url).pushIndex('platform/own', 'latest', index);
    for (const architecture of ['amd64', 'arm', 's390x']) {
      const agent = { 'user-agent': agentOf(`linux/${architecture}`) };
      const tags = await client.expect(200, 'GET', '/v1/repositories/platform/own/tags', agent);
      assert.deepEqual(jsonOf(tags), { latest: idOf(architecture) });
      assert.equal(header(tags.headers, 'vary'), 'User-Agent');
      const images = await client.expect(200, 'GET', '/v1/repositories/platform/own/images', agent);
      const ids = jsonOf<{ id: string }[]>(images).map(({ id }) => id);
      assert.ok(ids.includes(idOf(architecture)));
    }
  });

  it('is that of the list for an agent that is no docker engine, or a platform that is not there', async () => {
    platforms = ['linux/s390x'];
    for (const agent of [
      'curl/8 os/linux arch/arm',
      'docker/1.9.1 os/plan9 arch/arm',
      'x docker/1.9.1 os/linux arch/arm',
    ]) {
      assert.equal(await client.v1Tag('platform/own', 'latest', agent), idOf('s390x'), agent);
    }
  });

  it('is that of the engine in schema 1 as well, by tag and by digest', async () => {
    platforms = ['linux/amd64'];
    for (const architecture of ['amd64', 'arm']) {
      const agent = agentOf(`linux/${architecture}`);
      const made = await client.manifest('platform/own', 'latest', undefined, agent);
      assert.equal(header(made.headers, 'content-type'), SCHEMA1);
      assert.equal(jsonOf<{ architecture: string }>(made).architecture, architecture);
      const digest = header(made.headers, 'docker-content-digest') ?? '';
      const again = await client.manifest('platform/own', digest);
      assert.deepEqual(again.body, made.body);
    }
  });

  it('is none where nothing fits: a 404 that says so, and one line in the log', async () => {
    platforms = ['windows/amd64'];
    const path = '/v1/repositories/platform/own/tags/latest';
    for (let time = 0; time < 3; time += 1) {
      const answer = await client.expect(404, 'GET', path, { 'user-agent': 'curl/8' });
      assert.match(
        jsonOf<{ error: string }>(answer).error,
        /^Tag not found: .*no-platform.*windows\/amd64/,
      );
    }
    assert.deepEqual(
      logged.filter((line) => line.startsWith('platform/own')),
      ['platform/own no-platform'],
    );
    assert.deepEqual(await client.v1Tags('platform/own'), {});
    const list = await client.manifest('platform/own', 'latest', LIST);
    assert.deepEqual(list.body, index.manifest);
  });

  describe('with platformFromUserAgent switched off', () => {
    const deaf = useServer({ content: { bridge: { platformFromUserAgent: false } } });

    it('is that of the list whatever the engine says', async () => {
      await new V2Client(deaf.url).pushIndex('platform/own', 'latest', index);
      const own = new BridgeClient(() => deaf.url);
      assert.equal(await own.v1Tag('platform/own', 'latest', agentOf('linux/arm')), idOf('amd64'));
    });
  });

  it('names a plain image whatever its platform is', async () => {
    platforms = ['linux/amd64'];
    const image = makeV2Image({ seed: 95, layers: 1, architecture: 's390x' });
    await new V2Client(server.url).pushImage('platform/plain', 'latest', image);
    const { top } = await new V1Client(server.url, '1.5.0').pull('platform/plain', 'latest');
    assert.equal(top, sha256(image.config).slice(7));
  });
});
