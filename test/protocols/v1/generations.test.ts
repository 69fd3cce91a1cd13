import assert from 'node:assert/strict';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { testAccounts } from '../../support/accounts.ts';
import { makeV1Chain } from '../../support/images.ts';
import { Transcript } from '../../support/transcript.ts';
import { V1Client } from '../../support/v1-client.ts';
import { ENGINE_VERSIONS, type EngineVersion } from '../../support/v1-engine.ts';
import { startRegistry } from '../../support/v1-registry.ts';

/** Of the source tree: what is compiled lies elsewhere. `UPDATE_GOLDEN=1` writes what is said now. */
const GOLDEN = fileURLToPath(new URL('../../../../test/golden/v1/', import.meta.url));
const ANN = { username: 'ann', password: 'secret' };
/** Compressors differ; plain tar is the same everywhere. */
const IMAGES = makeV1Chain({ seed: 42, layers: 3, bytes: 64, forms: ['tar'] });

const NAMES = Object.fromEntries(IMAGES.map(({ id }, n) => [id, `IMAGE-${n}`]));

/** All that an engine and a registry say to each other from login to search. */
async function conversation(version: EngineVersion, accounts: boolean): Promise<string> {
  const running = await startRegistry(
    (registry) => {
      if (accounts) registry.access = testAccounts();
    },
    { protocols: { v1: true, v2: false } },
  );
  const transcript = await Transcript.of(running.url, NAMES);
  const parts: string[] = [];
  const act = async (what: string, work: (client: V1Client) => Promise<unknown>) => {
    await work(new V1Client(transcript.url, version, accounts ? ANN : undefined));
    parts.push(`== ${what}\n\n${transcript.take()}`);
  };
  try {
    await act('docker login', (client) => client.login(ANN));
    await act('docker push of three images', (client) => client.push('team/app', 'v1', IMAGES));
    await act('docker push of another tag', (client) => client.push('team/app', 'v2', IMAGES));
    await act('docker pull', (client) => client.pull('team/app', 'v1'));
    await act('docker search', (client) => client.search('app'));
    if (accounts) return parts.join('\n');
    await act('docker push of a short name', (client) => client.push('app', 'v1', IMAGES));
    await act('docker pull of a short name', (client) => client.pull('app', 'v1'));
    return parts.join('\n');
  } finally {
    await transcript.stop();
    await running.close();
  }
}

for (const accounts of [false, true]) {
  const where = accounts ? 'with accounts' : 'open to everybody';
  describe(`a registry ${where}`, () => {
    for (const version of ENGINE_VERSIONS) {
      it(`says to docker ${version} what it always said, from login to search`, async () => {
        const file = `${GOLDEN}docker-${version}${accounts ? '-accounts' : ''}.txt`;
        const said = await conversation(version, accounts);
        if (process.env.UPDATE_GOLDEN === '1') {
          mkdirSync(GOLDEN, { recursive: true });
          writeFileSync(file, said);
        }
        assert.ok(existsSync(file), `${file} is missing`);
        assert.equal(said, readFileSync(file, 'utf8'));
      });
    }
  });
}
