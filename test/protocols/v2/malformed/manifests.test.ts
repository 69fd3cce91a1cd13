import { describe } from 'node:test';
import { OCI_INDEX, OCI_MANIFEST } from '../../../support/oci-content.ts';
import { HEX, UNKNOWN, useRefusals } from '../../../support/refusals.ts';

describe('malformed manifests', () => {
  const { refuse, http } = useRefusals(80);

  describe('manifests', () => {
    const put = (
      name: string,
      body: string | Buffer,
      type = OCI_MANIFEST,
      code = 'MANIFEST_INVALID',
    ): void =>
      refuse({
        name,
        bytes: () =>
          http('PUT', '/v2/repo/manifests/bad', type === '' ? [] : [`Content-Type: ${type}`], body),
        status: 400,
        code,
      });
    const of = (fields: Record<string, unknown>): string =>
      JSON.stringify({
        schemaVersion: 2,
        mediaType: OCI_MANIFEST,
        config: { mediaType: 'a/b', digest: UNKNOWN, size: 1 },
        layers: [],
        ...fields,
      });
    const descriptor = { mediaType: 'a/b', digest: UNKNOWN, size: 1 };

    for (const body of [
      ' ',
      'null',
      'true',
      '1',
      '"text"',
      '[]',
      '[{}]',
      '{',
      '{}',
      '{"a":1}}',
      "{'a':1}",
      '{"schemaVersion":2,}',
      '\u0000',
      'blablabla',
      '<xml/>',
      '\ufeff{}',
      '{"schemaVersion":2}{"schemaVersion":2}',
      'NaN',
      '{"schemaVersion":02}',
    ]) {
      put(`the body ${JSON.stringify(body)}`, body);
    }
    put('bytes that are not UTF-8', Buffer.from(of({ annotations: { a: '\u00ff' } }), 'latin1'));
    put('UTF-16', Buffer.from(of({}), 'utf16le'));
    put('lists nested 100,000 deep', '['.repeat(100_000));
    put('objects nested 1,000 deep', `${'{"a":'.repeat(1000)}1${'}'.repeat(1000)}`);
    put(
      'nesting in a field that nobody reads',
      of({ extra: JSON.parse(`${'['.repeat(70)}${']'.repeat(70)}`) }),
    );
    for (const version of [0, 1, 3, '2', null, [2], 2.5]) {
      put(`schemaVersion ${JSON.stringify(version)}`, of({ schemaVersion: version }));
    }
    put('no schemaVersion', of({ schemaVersion: undefined }));
    put('no config', of({ config: undefined }));
    for (const config of [
      null,
      [],
      'x',
      {},
      { ...descriptor, digest: 'sha256:x' },
      { ...descriptor, digest: 7 },
      { ...descriptor, digest: '../../etc/passwd' },
      { ...descriptor, size: -1 },
      { ...descriptor, size: '1' },
      { ...descriptor, size: 1e30 },
      { ...descriptor, size: undefined },
      { ...descriptor, mediaType: 7 },
      { ...descriptor, urls: 'x' },
      { ...descriptor, urls: [7] },
      { ...descriptor, annotations: { a: 1 } },
    ]) {
      put(`config ${JSON.stringify(config)}`.slice(0, 90), of({ config }));
    }
    for (const layers of [
      'x',
      {},
      [null],
      ['x'],
      [{}],
      [[descriptor]],
      [{ ...descriptor, digest: 'md5:00' }],
    ]) {
      put(`layers ${JSON.stringify(layers)}`.slice(0, 90), of({ layers }));
    }
    put('no layers field', of({ layers: undefined }));
    put('a subject that is no descriptor', of({ subject: 'sha256:abc' }));
    put('annotations that are no map of strings', of({ annotations: { a: 1 } }));
    put('annotations that are a list', of({ annotations: [{}] }));
    put('an artifactType that is no string', of({ artifactType: 7 }));
    put('an image that is an index too', of({ manifests: [] }));
    put('an index that is an image too', of({ mediaType: OCI_INDEX, manifests: [] }), OCI_INDEX);
    put(
      'an index that is an image too, to clients that fold case',
      JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [], Layers: [] }),
      OCI_INDEX,
    );
    put('a mediaType in another case', of({ mediaType: undefined, mediatype: OCI_INDEX }));
    put('a config in another case', of({ CONFIG: descriptor }));
    put('another mediaType than the header says', of({}), OCI_INDEX);
    put('a mediaType that is no string', of({ mediaType: 7 }));
    put('an unknown Content-Type', of({}), 'application/vnd.example+json');
    put('a Content-Type that is none', of({}), ';;;', 'MANIFEST_BLOB_UNKNOWN');
    put('text/plain', of({}), 'text/plain');
    put('octets', of({}), 'application/octet-stream');
    put('missing blobs', of({}), OCI_MANIFEST, 'MANIFEST_BLOB_UNKNOWN');
    put(
      'a missing child',
      JSON.stringify({ schemaVersion: 2, mediaType: OCI_INDEX, manifests: [descriptor] }),
      OCI_INDEX,
      'MANIFEST_BLOB_UNKNOWN',
    );
    put(
      'a blob as a child',
      JSON.stringify({
        schemaVersion: 2,
        mediaType: OCI_INDEX,
        manifests: [{ ...descriptor, digest: `sha256:${HEX}` }],
      }),
      OCI_INDEX,
      'MANIFEST_BLOB_UNKNOWN',
    );
    for (const url of [
      'ftp://x/y',
      'file:///etc/passwd',
      'javascript:alert(1)',
      'http://x/#y',
      'nonsense',
      '',
    ]) {
      put(
        `a layer at ${url}`,
        of({
          layers: [
            {
              ...descriptor,
              mediaType: 'application/vnd.oci.image.layer.nondistributable.v1.tar',
              urls: [url],
            },
          ],
        }),
      );
    }
    put('no body', '');
    refuse({
      name: 'a body above the limit',
      bytes: () =>
        http('PUT', '/v2/repo/manifests/bad', [
          `Content-Type: ${OCI_MANIFEST}`,
          `Content-Length: ${5 << 20}`,
        ]),
      status: 413,
      code: 'MANIFEST_INVALID',
    });
    refuse({
      name: 'another digest than that of the body',
      bytes: () =>
        http('PUT', `/v2/repo/manifests/${UNKNOWN}`, [`Content-Type: ${OCI_MANIFEST}`], of({})),
      status: 400,
      code: 'DIGEST_INVALID',
    });
  });
});
