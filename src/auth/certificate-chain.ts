import { type KeyObject, X509Certificate } from 'node:crypto';

const LONGEST_CHAIN = 10;
const CERTIFICATE = /-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g;

/** All certificates of a PEM file. Throws an Error when there is none, or one cannot be read. */
export function parseCertificates(pem: string, path: string): X509Certificate[] {
  const blocks = pem.match(CERTIFICATE) ?? [];
  if (blocks.length === 0) throw new Error(`${path} holds no certificate; expected PEM`);
  return blocks.map((block) => new X509Certificate(block));
}

/**
 * The key of the first certificate of a token's `x5c` header (RFC 7515 4.1.6), once the chain has led to one of
 * `roots` by certificates that are valid at `now`; undefined when it does not.
 */
export function keyOfChain(
  x5c: readonly string[],
  roots: readonly X509Certificate[],
  now: Date,
): KeyObject | undefined {
  const chain = parseChain(x5c);
  const [leaf] = chain;
  let current = leaf;
  for (let length = 0; current !== undefined && length < LONGEST_CHAIN; length += 1) {
    const certificate: X509Certificate = current;
    if (!isValid(certificate, now)) return undefined;
    if (roots.some((root) => root.raw.equals(certificate.raw))) return leaf?.publicKey;
    const issued = (issuer: X509Certificate) =>
      issuer !== certificate && isIssuer(issuer, certificate);
    if (roots.some((root) => isValid(root, now) && issued(root))) return leaf?.publicKey;
    current = chain.find(issued);
  }
  return undefined;
}

function parseChain(x5c: readonly string[]): X509Certificate[] {
  if (x5c.length > LONGEST_CHAIN) return [];
  try {
    return x5c.map((text) => new X509Certificate(Buffer.from(text, 'base64')));
  } catch {
    return [];
  }
}

function isIssuer(issuer: X509Certificate, certificate: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function isValid({ validFrom, validTo }: X509Certificate, now: Date): boolean {
  return new Date(validFrom) <= now && now <= new Date(validTo);
}
