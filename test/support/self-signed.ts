import { execFileSync } from 'node:child_process';
import { join } from 'node:path';

export interface CertificateFiles {
  certificate: string;
  key: string;
}

/** Makes a key and a certificate for 127.0.0.1, signed by itself, in `folder`. */
export function makeCertificate(folder: string, days = 365): CertificateFiles {
  const certificate = join(folder, 'cert.pem');
  const key = join(folder, 'key.pem');
  execFileSync(
    'openssl',
    [
      ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'],
      ['-keyout', key, '-out', certificate, '-days', String(days), '-subj', '/CN=registry'],
      ['-addext', 'subjectAltName=IP:127.0.0.1,DNS:localhost'],
    ].flat(),
    { stdio: 'ignore' },
  );
  return { certificate, key };
}
