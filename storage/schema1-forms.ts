import type { FactStore } from './blob-facts.ts';
import type { BlobStore } from './blobs.ts';
import { EMPTY_TAR_GZIP, EMPTY_TAR_GZIP_DIGEST } from './bridge/chain-id.ts';
import { JsonError } from './bridge/json-scanner.ts';
import { readSigned, type SigningKey } from './bridge/jws.ts';
import { isBadLayer } from './bridge/layer-facts.ts';
import { hasNoV2View, type V2Layer, v2Layer } from './bridge/lift.ts';
import { liftSchema1, readSchema1, type StoredLayerOf } from './bridge/schema1.ts';
import { type Schema1Name, schema1OfChain, schema1OfImage } from './bridge/schema1-views.ts';
import { type Digest, digestOf } from './digest.ts';
import type { StorageDriver } from './driver.ts';
import { ConditionFailedError, ifFound, storageError } from './errors.ts';
import { type ChainImage, chainLink, type Forms, type Lifted, type Lifting } from './lifting.ts';
import type { Manifest } from './manifest.ts';
import { DOCKER_SCHEMA1_SIGNED } from './media-types.ts';
import { isTag, type Tag } from './names.ts';
import { bridgeRecord, v1Schema1 } from './paths.ts';
import { readRecord } from './records.ts';
import type { Repository } from './repository.ts';

/** For which tag a schema 1 form was made, and of which manifest; it dies with that tag (bridge.md 6.5). */
interface Made {
  tag: Tag;
  /** What the tag named then: the source itself, or an index over it. */
  tagged?: Digest;
  source: Digest;
}

/** The schema 1 side of a store (bridge.md 6): manifests of docker 1.6-1.9 come in, and are made for them. */
export class Schema1Forms {
  readonly #driver: StorageDriver;
  readonly #blobs: BlobStore;
  readonly #facts: FactStore;
  readonly #lifting: Lifting;
  readonly #key: () => Promise<SigningKey>;
  readonly #making = new Map<string, Promise<Manifest | undefined>>();

  constructor(
    driver: StorageDriver,
    blobs: BlobStore,
    facts: FactStore,
    lifting: Lifting,
    key: () => Promise<SigningKey>,
  ) {
    this.#driver = driver;
    this.#blobs = blobs;
    this.#facts = facts;
    this.#lifting = lifting;
    this.#key = key;
  }

  /**
   * The manifest in a signed document that a client pushed; its digest is the payload's. The document is kept as
   * sent. Throws MANIFEST_INVALID, MANIFEST_UNVERIFIED or MANIFEST_BLOB_UNKNOWN.
   */
  async receive(repository: Repository, document: Buffer): Promise<Manifest> {
    const payload = readSigned(document);
    const { entries } = readSchema1(payload);
    const manifest = asManifest(
      payload,
      payload,
      entries.map((entry) => entry.blobSum),
    );
    const missing: Digest[] = [];
    for (const { digest } of manifest.layers) {
      if (!(await repository.blobs.find(digest))) missing.push(digest);
    }
    if (missing.length > 0) throw missingLayers(missing);
    const path = bridgeRecord(manifest.descriptor.digest, 'schema1');
    if (!(await ifFound(this.#driver.stat(path)))) await this.#driver.put(path, document);
    return manifest;
  }

  /** The signed document of a stored schema 1 manifest; distribution kept only the payload, which is signed anew. */
  async document(manifest: Manifest): Promise<Manifest> {
    const { digest } = manifest.descriptor;
    const { bytes } = manifest;
    const signed = bytes.includes('"signatures"') ? bytes : await this.#signed(digest, bytes);
    return {
      ...manifest,
      bytes: signed,
      descriptor: { mediaType: DOCKER_SCHEMA1_SIGNED, digest, size: signed.length },
    };
  }

  /** The V2 forms of a stored schema 1 manifest, made once (6.1), or why it has none. */
  async lifted(repository: Repository, manifest: Manifest): Promise<Lifted> {
    const path = bridgeRecord(manifest.descriptor.digest, 'forms');
    const known = await readRecord<Forms>(this.#driver, path);
    if (known) {
      const schema2 = await repository.manifests.get(known.schema2);
      const oci = await repository.manifests.get(known.oci);
      if (schema2 && oci) return { schema2, oci };
    }
    const payload = payloadOf(manifest.bytes);
    const layers = new Map<Digest, NonNullable<ReturnType<StoredLayerOf>>>();
    for (const { digest } of manifest.layers) {
      const facts = await this.#facts.find(digest);
      const size = await this.#blobs.size(digest);
      if (facts && size !== undefined) layers.set(digest, { digest, size, facts });
    }
    const lifted = liftSchema1(readSchema1(payload), (digest) => layers.get(digest));
    if (hasNoV2View(lifted)) return { reason: `${lifted.reason}: ${lifted.detail}` };
    for (const layer of lifted.layers) {
      const stored = [...layers.values()].find(
        ({ facts }) => !isBadLayer(facts) && facts.diffId === layer.diffId,
      );
      await this.#lifting.provide(layer, stored?.digest ?? layer.digest);
    }
    const forms = await this.#lifting.store(repository, lifted);
    const record: Forms = {
      schema2: forms.schema2.descriptor.digest,
      oci: forms.oci.descriptor.digest,
    };
    await this.#driver.put(path, JSON.stringify(record));
    return forms;
  }

  /**
   * The schema 1 form of an image manifest, that a tag names or that was picked from the index it names (6.2, 6.3);
   * undefined when it has none.
   */
  async make(repository: Repository, tag: Tag, manifest: Manifest): Promise<Manifest | undefined> {
    const key = `${repository.name}:${tag}@${manifest.descriptor.digest}`;
    let making = this.#making.get(key);
    if (!making) {
      making = this.#make(repository, tag, manifest).finally(() => this.#making.delete(key));
      this.#making.set(key, making);
    }
    return making;
  }

  /** A schema 1 form that was made for a tag, by its digest, as long as the tag stands. */
  async made(repository: Repository, digest: Digest): Promise<Manifest | undefined> {
    const made = await this.#made(repository, digest);
    if (!made) return undefined;
    const document = await ifFound(this.#driver.get(bridgeRecord(digest, 'schema1')));
    if (document) return parseDocument(document);
    // The document was lost: the same payload is made and signed again.
    const source = await repository.manifests.get(made.source);
    const again = source && (await this.make(repository, made.tag, source));
    return again?.descriptor.digest === digest ? again : undefined;
  }

  /** The manifest from which a schema 1 form was made, as long as its tag stands. */
  async sourceOf(repository: Repository, digest: Digest): Promise<Digest | undefined> {
    return (await this.#made(repository, digest))?.source;
  }

  async #made(repository: Repository, digest: Digest): Promise<Made | undefined> {
    const made = await readRecord<Made>(this.#driver, v1Schema1(repository.name, digest));
    if (!made || !isTag(made.tag)) return undefined;
    return (await repository.tags.resolve(made.tag)) === made.tagged ? made : undefined;
  }

  async #make(repository: Repository, tag: Tag, manifest: Manifest): Promise<Manifest | undefined> {
    const target = { name: repository.name, tag };
    const tagged = await repository.tags.resolve(tag);
    const source = manifest.descriptor.digest;
    const chain = tagged === source ? await repository.v1.chainOf(tag) : undefined;
    const payload = chain
      ? await this.#ofChain(target, chain, source)
      : await this.#ofImage(repository, target, manifest);
    if (!payload) return undefined;
    const { entries } = readSchema1(payload);
    const blobs = new Set(entries.map((entry) => entry.blobSum));
    if (blobs.has(EMPTY_TAR_GZIP_DIGEST)) {
      await this.#blobs.put(EMPTY_TAR_GZIP, EMPTY_TAR_GZIP_DIGEST);
    }
    for (const digest of blobs) await repository.blobs.link(digest);
    const digest = digestOf(payload);
    const document = await this.#signed(digest, payload);
    const made: Made = { tag, ...(tagged && { tagged }), source };
    await this.#driver.put(v1Schema1(repository.name, digest), JSON.stringify(made), {
      durable: false,
    });
    return asManifest(document, payload, [...blobs]);
  }

  async #ofChain(
    target: Schema1Name,
    chain: readonly ChainImage[],
    schema2: Digest,
  ): Promise<Buffer | undefined> {
    const lifted = await this.#lifting.derive(chain, schema2);
    return hasNoV2View(lifted) ? undefined : schema1OfChain(target, chain.map(chainLink), lifted);
  }

  async #ofImage(
    repository: Repository,
    target: Schema1Name,
    manifest: Manifest,
  ): Promise<Buffer | undefined> {
    const config = manifest.config && (await this.#blobs.get(manifest.config.digest));
    if (!config) return undefined;
    const layers: V2Layer[] = [];
    for (const { digest } of manifest.layers) {
      const facts = await this.#facts.find(digest);
      const size = await this.#blobs.size(digest);
      if (!facts || isBadLayer(facts) || size === undefined) return undefined;
      const layer = v2Layer({ digest, size }, facts);
      await this.#lifting.provide(layer, digest);
      await repository.blobs.link(layer.digest);
      layers.push(layer);
    }
    try {
      return schema1OfImage(target, config, layers);
    } catch (error) {
      if (error instanceof JsonError) return undefined;
      throw error;
    }
  }

  /** Signs a payload once, whoever asks for it, and gives the kept document ever after. */
  async #signed(digest: Digest, payload: Buffer): Promise<Buffer> {
    const path = bridgeRecord(digest, 'schema1');
    const kept = await ifFound(this.#driver.get(path));
    if (kept) return kept;
    const document = (await this.#key()).sign(payload);
    try {
      await this.#driver.put(path, document, { condition: 'absent' });
      return document;
    } catch (error) {
      if (error instanceof ConditionFailedError) return this.#driver.get(path);
      throw error;
    }
  }
}

/** distribution stored the payload; other registries the document. */
function payloadOf(bytes: Buffer): Buffer {
  return bytes.includes('"signatures"') ? readSigned(bytes) : bytes;
}

function parseDocument(document: Buffer): Manifest {
  const payload = readSigned(document);
  const { entries } = readSchema1(payload);
  return asManifest(
    document,
    payload,
    entries.map((entry) => entry.blobSum),
  );
}

function asManifest(bytes: Buffer, payload: Buffer, blobs: readonly Digest[]): Manifest {
  return {
    bytes,
    descriptor: {
      mediaType: DOCKER_SCHEMA1_SIGNED,
      digest: digestOf(payload),
      size: bytes.length,
    },
    kind: 'schema1',
    layers: blobs.map((digest) => ({ mediaType: 'application/octet-stream', digest, size: -1 })),
    manifests: [],
  };
}

function missingLayers(digests: Digest[]) {
  const [first, ...more] = [...new Set(digests)].map((digest) =>
    storageError('MANIFEST_BLOB_UNKNOWN', `blob unknown to this repository: ${digest}`, {
      detail: digest,
    }),
  );
  return storageError('MANIFEST_BLOB_UNKNOWN', first?.message ?? '', {
    detail: first?.detail,
    more,
  });
}
