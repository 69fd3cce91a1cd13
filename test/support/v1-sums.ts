import { createHash } from 'node:crypto';

/** What X-Docker-Checksum-Payload says of an image: sha256 over its JSON, a line feed and its layer as sent. */
export function payloadSum(json: Buffer | string, layer: Buffer): string {
  return `sha256:${createHash('sha256').update(json).update('\n').update(layer).digest('hex')}`;
}
