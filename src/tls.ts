import { readFileSync, statSync } from 'node:fs';
import type { ServerOptions, Server as TlsServer } from 'node:https';
import { createSecureContext, type SecureContext, type TLSSocket } from 'node:tls';
import type { Logger } from '../protocols/registry.ts';
import type { AcmeCertificates } from './acme/certificates.ts';
import type { TlsConfig } from './config/http.ts';

/** Why the certificate can't be used, and which file it is. */
export class TlsError extends Error {
  constructor(message: string, cause: unknown) {
    super(message, { cause });
    this.name = 'TlsError';
  }
}

/**
 * Options of an https server for `config`. Reads the files; throws a TlsError that names the one that can't be.
 * `fetched` is key and chain in PEM where no files are configured; without it every handshake fails.
 */
export function tlsOptions(config: TlsConfig, fetched?: string): ServerOptions {
  const old = config.minimumVersion === 'TLSv1' || config.minimumVersion === 'TLSv1.1';
  const ciphers = config.cipherSuites.join(':') || 'DEFAULT';
  const clientCerts = config.clientCas.length > 0;
  return {
    ...(config.files && {
      cert: readPem(config.files.certificate),
      key: readPem(config.files.key),
    }),
    ...(fetched !== undefined && { cert: fetched, key: fetched }),
    minVersion: config.minimumVersion,
    // OpenSSL 3 refuses the hashes of TLS before 1.2 above this level, whatever minVersion says.
    ...(old || config.cipherSuites.length > 0
      ? { ciphers: old ? `${ciphers}:@SECLEVEL=0` : ciphers }
      : {}),
    ...(clientCerts ? { ca: config.clientCas.map(readPem), requestCert: true } : {}),
    ...(clientCerts
      ? { rejectUnauthorized: config.clientAuth === 'require-and-verify-client-cert' }
      : {}),
    handshakeTimeout: 30_000,
  };
}

/** Whether a client whose handshake went through may stay, by `clientAuth` (v2.md 4). */
export function acceptsClient(config: TlsConfig, socket: TLSSocket): boolean {
  const shown = Object.keys(socket.getPeerCertificate() ?? {}).length > 0;
  switch (config.clientAuth) {
    case 'verify-client-cert-if-given':
      return config.clientCas.length === 0 || !shown || socket.authorized;
    case 'require-any-client-cert':
      return config.clientCas.length === 0 || shown;
    default:
      return true;
  }
}

/**
 * Looks at the files every `intervalMs` and gives the server its new certificate when they changed; connections that
 * are open stay. A pair that can't be used is logged, and the old one stays. Gives a function that stops it.
 */
export function watchCertificate(
  server: TlsServer,
  config: TlsConfig,
  log: Logger,
  intervalMs: number,
): () => void {
  const pair = config.files;
  if (pair === undefined) return () => {};
  const files = [pair.certificate, pair.key, ...config.clientCas];
  let seen = stamp(files);
  const timer = setInterval(() => {
    const now = stamp(files);
    if (now === seen) return;
    seen = now;
    try {
      server.setSecureContext(tlsOptions(config));
      log.info('certificate reloaded', { certificate: pair.certificate });
    } catch (error) {
      log.error('certificate not reloaded; the old one stays', {
        certificate: pair.certificate,
        error,
      });
    }
  }, intervalMs);
  timer.unref();
  return () => clearInterval(timer);
}

/** Gives the certificate of the host that a client asks for; for others the server's own is shown. */
export function chooseFetched(
  config: TlsConfig,
  certificates: AcmeCertificates,
): NonNullable<ServerOptions['SNICallback']> {
  const contexts = new Map<string, { pem: string; context: SecureContext }>();
  return (host, done) => {
    const pem = certificates.pemFor(host);
    if (pem === undefined) return done(null);
    const known = contexts.get(host.toLowerCase());
    const context =
      known?.pem === pem ? known.context : createSecureContext(tlsOptions(config, pem));
    contexts.set(host.toLowerCase(), { pem, context });
    return done(null, context);
  };
}

function stamp(files: readonly string[]): string {
  return files
    .map((file) => {
      const stats = statSync(file, { throwIfNoEntry: false });
      return stats === undefined ? '-' : `${stats.ino} ${stats.mtimeMs} ${stats.size}`;
    })
    .join('|');
}

function readPem(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const fix =
      code === 'EACCES' ? '; let the user that runs the registry read it (chgrp, chmod 640)' : '';
    throw new TlsError(`can't read ${file}: ${message}${fix}`, error);
  }
}
