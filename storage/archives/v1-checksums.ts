import type { ComputedSums } from '../v1-pushes.ts';

const PAYLOAD = /^sha256:[0-9a-f]{64}$/;
const TARSUM = /^tarsum\+sha256:[0-9a-f]{64}$/;

/** What stored checksums say of an image: right, wrong, or nothing (absent and foreign ones are unknown). */
export type ChecksumVerdict =
  | { verdict: 'right' | 'unknown' }
  | { verdict: 'wrong'; reason: string };

/**
 * Compares the stored checksums of an image with what was computed (v1.md 2.7, 3.3). A payload sum covers every byte,
 * so it decides alone where there is one; tarsums, whose rules differ between engines, decide without it.
 */
export function judgeChecksums(stored: readonly string[], computed: ComputedSums): ChecksumVerdict {
  const payloads = stored.filter((sum) => PAYLOAD.test(sum));
  if (payloads.length > 0) {
    if (payloads.includes(computed.payload)) return { verdict: 'right' };
    return wrong(payloads[0] as string, computed.payload);
  }
  const tarsums = stored.filter((sum) => TARSUM.test(sum));
  const [actual] = computed.tarsums;
  if (tarsums.length === 0 || actual === undefined) return { verdict: 'unknown' };
  return tarsums.includes(actual) ? { verdict: 'right' } : wrong(tarsums[0] as string, actual);
}

function wrong(stored: string, actual: string): ChecksumVerdict {
  return {
    verdict: 'wrong',
    reason: `checksum mismatch: stored is ${stored}, the content has ${actual}`,
  };
}
