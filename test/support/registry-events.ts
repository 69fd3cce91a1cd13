import type { RegistryEvent } from '../../protocols/registry.ts';
import type { Digest } from '../../storage/digest.ts';

/** A push of a manifest under `tag`, with whatever a test wants otherwise. */
export function makeEvent(tag: string, other: Partial<RegistryEvent> = {}): RegistryEvent {
  return {
    action: 'push',
    protocol: 'v2',
    repository: 'team/app',
    tag,
    target: {
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      digest: `sha256:${'ab'.repeat(32)}` as Digest,
      size: 1234,
    },
    request: {
      id: 'request-1',
      address: '10.0.0.9',
      scheme: 'https',
      host: 'hub.example:5000',
      method: 'PUT',
      userAgent: 'docker/20.10',
    },
    user: 'ann',
    ...other,
  };
}
