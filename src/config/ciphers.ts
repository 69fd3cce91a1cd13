import { getCiphers } from 'node:tls';

/**
 * OpenSSL's name of a cipher suite that is given by its IANA name (`TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256`), as Go
 * and distribution write it. Undefined when this build of Node does not have it.
 */
export function opensslCipher(iana: string): string | undefined {
  const name = iana.includes('_WITH_') ? translate(iana) : iana;
  return getCiphers().includes(name.toLowerCase()) ? name : undefined;
}

function translate(iana: string): string {
  return iana
    .replace(/^TLS_/, '')
    .replace(/^RSA_WITH_/, '')
    .replace('_WITH_', '_')
    .replace(/(CHACHA20_POLY1305)_SHA256$/, '$1')
    .replace(/AES_(\d+)/, 'AES$1')
    .replace('_CBC_', '_')
    .replaceAll('_', '-');
}
