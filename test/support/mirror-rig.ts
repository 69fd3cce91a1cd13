import assert from 'node:assert/strict';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { after, before, beforeEach, type TestContext } from 'node:test';
import type { V1ImageId } from '../../storage/names.ts';
import { eventually } from './eventually.ts';
import { makeV1Chain, type V1Image } from './images.ts';
import { type RunningMirror, startMirror } from './mirror.ts';
import { Relay } from './relay.ts';
import { V1Client } from './v1-client.ts';
import { type RunningRegistry, startRegistry } from './v1-registry.ts';

type MirrorOptions = Parameters<typeof startMirror>[1];

interface PushOptions {
  layers?: number;
  /** Bytes of each layer. */
  bytes?: number;
  tag?: string;
  /** Where it goes, instead of upstream. */
  to?: string;
}

/** An upstream registry, a relay in front of it that can disturb and listen, and a mirror of both. */
export class MirrorRig {
  relay!: Relay;
  /** Started anew for each test. */
  mirror!: RunningMirror;
  #upstream!: RunningRegistry;
  #seed: number;

  /** `seed` begins the images of this rig. */
  constructor(seed: number) {
    this.#seed = seed;
  }

  get upstreamUrl(): string {
    return this.#upstream.url;
  }

  async start(): Promise<void> {
    this.#upstream = await startRegistry();
    this.relay = await Relay.start(() => this.#upstream.url);
  }

  async stop(): Promise<void> {
    await this.relay.stop();
    await this.#upstream.close();
  }

  /** A mirror of the test's own, ended with it. */
  async begin(context: TestContext, options?: MirrorOptions): Promise<RunningMirror> {
    const own = await startMirror(this.relay.url, options);
    context.after(() => own.close());
    return own;
  }

  /** Pushes an image that nobody had before, to upstream unless said otherwise; base first. */
  async push(name: string, options: PushOptions = {}): Promise<V1Image[]> {
    const { layers = 3, bytes, tag = 'v1', to = this.upstreamUrl } = options;
    this.#seed += 1;
    const images = makeV1Chain({ seed: this.#seed, layers, ...(bytes !== undefined && { bytes }) });
    await new V1Client(to).push(name, tag, images);
    return images;
  }

  /** Whether the mirror has the image itself. */
  async stored({ id }: V1Image, at = this.mirror): Promise<boolean> {
    return (await at.registry.content.explicit.get(id as V1ImageId)) !== undefined;
  }

  async allStored(images: readonly V1Image[], at = this.mirror): Promise<void> {
    await eventually(
      async () => (await Promise.all(images.map((image) => this.stored(image, at)))).every(Boolean),
      'all images stored',
    );
  }

  /** Answers one path in place of upstream. */
  forPath(
    path: string,
    answer: (request: IncomingMessage, response: ServerResponse) => void,
  ): void {
    this.relay.intercept = (incoming, response) => {
      if (incoming.url !== path) return false;
      answer(incoming, response);
      return true;
    };
  }

  /** From now on, upstream is down. */
  down(): void {
    this.relay.intercept = (_, response) => {
      response.destroy();
      return true;
    };
  }

  up(): void {
    this.relay.intercept = () => false;
  }
}

/** A rig for all tests of the file or suite that calls this, with a fresh mirror of these options for each. */
export function useMirror(seed: number, options?: MirrorOptions): MirrorRig {
  const rig = new MirrorRig(seed);
  before(() => rig.start());
  after(() => rig.stop());
  beforeEach(async (context) => {
    rig.relay.take();
    rig.up();
    rig.mirror = await startMirror(rig.relay.url, options);
    if ('after' in context) context.after(() => rig.mirror.close());
  });
  return rig;
}

export const layerPath = ({ id }: V1Image) => `/v1/images/${id}/layer`;
export const top = (images: readonly V1Image[]) => images.at(-1) as V1Image;

/** Compares images by what goes over the wire. */
export function assertSame(images: readonly V1Image[], pulled: readonly V1Image[]): void {
  assert.deepEqual(
    pulled.map(({ id, json, layer }) => ({ id, json, layer })),
    images.map(({ id, json, layer }) => ({ id, json, layer })),
  );
}
