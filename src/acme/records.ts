import {
  createPrivateKey,
  generateKeyPairSync,
  type KeyObject,
  X509Certificate,
} from 'node:crypto';
import { mkdirSync } from 'node:fs';
import type { StorageDriver } from '../../storage/driver.ts';
import { createDriver } from '../../storage/drivers/create-driver.ts';
import { ConditionFailedError, ifFound } from '../../storage/errors.ts';
import { type Lease, takeLease } from '../../storage/lease.ts';
import { storeRecord } from '../../storage/paths.ts';

/** A certificate of one host, as it is kept. */
export interface KeptCertificate {
  /** The private key and the chain, PEM. */
  pem: string;
  /** Milliseconds since the epoch. */
  notBefore: number;
  notAfter: number;
}

/** Why a host has no new certificate yet. */
export interface Failure {
  /** How often in a row. */
  count: number;
  /** Milliseconds since the epoch. */
  at: number;
  /** When to try again. */
  until: number;
  message: string;
}

/**
 * What all workers and nodes know of keys and certificates: in the store, or in a folder where `cachefile` names one,
 * whose files are distribution's (v2.md 4): a file for each host, the key and the chain in it.
 */
export class AcmeRecords {
  readonly #driver: StorageDriver;
  readonly #root: string;

  private constructor(driver: StorageDriver, root: string) {
    this.#driver = driver;
    this.#root = root;
  }

  static inStore(driver: StorageDriver): AcmeRecords {
    return new AcmeRecords(driver, storeRecord('acme'));
  }

  /** Makes the folder, readable by its owner only. Throws when there is something else at the path. */
  static inFolder(folder: string): AcmeRecords {
    try {
      mkdirSync(folder, { recursive: true, mode: 0o700 });
    } catch (cause) {
      throw new Error(
        `http.tls.letsencrypt.cachefile: ${(cause as Error).message}; name a folder that this user may write, or ` +
          'leave it out to keep certificates in the store',
        { cause },
      );
    }
    return new AcmeRecords(createDriver({ kind: 'filesystem', root: folder }), '');
  }

  /** The key of our account at the CA; made at the first call. */
  async accountKey(): Promise<KeyObject> {
    const path = `${this.#root}/account-key`;
    const stored = await ifFound(this.#driver.get(path));
    if (stored) return createPrivateKey(stored.toString());
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
    try {
      await this.#driver.put(path, keyPem(privateKey), { condition: 'absent', secret: true });
      return privateKey;
    } catch (error) {
      if (!(error instanceof ConditionFailedError)) throw error;
      return createPrivateKey((await this.#driver.get(path)).toString());
    }
  }

  /** The certificate of `host`; undefined when there is none that can be used. */
  async certificate(host: string): Promise<KeptCertificate | undefined> {
    const stored = await ifFound(this.#driver.get(`${this.#root}/${host}`));
    return stored && parseCertificate(stored.toString(), host);
  }

  /** Throws when `pem` is no certificate of `host` with its key. */
  async putCertificate(host: string, pem: string): Promise<void> {
    if (parseCertificate(pem, host) === undefined)
      throw new Error(`the CA sent no certificate of ${host} for the key it was given`);
    await this.#driver.put(`${this.#root}/${host}`, pem, { secret: true });
  }

  /** The key and certificate that answer a challenge for `host`, PEM. */
  async challenge(host: string): Promise<string | undefined> {
    return (await ifFound(this.#driver.get(`${this.#root}/tls-alpn-01/${host}`)))?.toString();
  }

  async putChallenge(host: string, pem: string): Promise<void> {
    await this.#driver.put(`${this.#root}/tls-alpn-01/${host}`, pem, {
      durable: false,
      secret: true,
    });
  }

  async dropChallenge(host: string): Promise<void> {
    await this.#driver.delete(`${this.#root}/tls-alpn-01/${host}`, { durable: false });
  }

  async failure(host: string): Promise<Failure | undefined> {
    const stored = await ifFound(this.#driver.get(`${this.#root}/failures/${host}`));
    try {
      return stored && (JSON.parse(stored.toString()) as Failure);
    } catch {
      return undefined;
    }
  }

  async putFailure(host: string, failure: Failure): Promise<void> {
    const path = `${this.#root}/failures/${host}`;
    await this.#driver.put(path, JSON.stringify(failure), { durable: false });
  }

  async dropFailure(host: string): Promise<void> {
    await this.#driver.delete(`${this.#root}/failures/${host}`, { durable: false });
  }

  /** Held by who talks to the CA: one process at a time. */
  lease(): Promise<Lease | undefined> {
    return takeLease(this.#driver, `${this.#root}/lease`);
  }

  async close(): Promise<void> {
    if (this.#root === '') await this.#driver.close?.();
  }
}

export function keyPem(key: KeyObject): string {
  return key.export({ format: 'pem', type: 'pkcs8' }).toString();
}

function parseCertificate(pem: string, host: string): KeptCertificate | undefined {
  try {
    const leaf = new X509Certificate(pem);
    if (!leaf.checkPrivateKey(createPrivateKey(pem)) || leaf.checkHost(host) === undefined)
      return undefined;
    const [notBefore, notAfter] = [Date.parse(leaf.validFrom), Date.parse(leaf.validTo)];
    return { pem, notBefore, notAfter };
  } catch {
    return undefined;
  }
}
