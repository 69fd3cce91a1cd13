import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type ChildServer, startIsthmus } from '../support/child-server.ts';
import { makeV1Chain, makeV2Image } from '../support/images.ts';
import { V1Client } from '../support/v1-client.ts';
import { V2Client } from '../support/v2-client.ts';
import { DockerDaemon } from './support/docker-daemon.ts';
import { Workspace } from './support/workspace.ts';

describe('docker search', { timeout: 180_000 }, () => {
  let work: Workspace;
  let server: ChildServer;
  let daemon: DockerDaemon;

  before(async () => {
    work = await Workspace.create();
    server = work.keep(await startIsthmus({ storage: await work.folder('registry') }));
    const [v1, v2] = [new V1Client(server.url), new V2Client(server.url)];
    await v1.push('team/old-web', 'v1', makeV1Chain({ seed: 81, layers: 2 }));
    await v1.push('webcam', 'v1', makeV1Chain({ seed: 82, layers: 1 }));
    const image = makeV2Image({ seed: 83, layers: 1 });
    await v2.pushImage('team/new-web', 'v1', image);
    await v2.pushImage('a/deep/web', 'v1', image);
    await v2.pushImage('team/database', 'v1', image);
    daemon = work.keep(await DockerDaemon.start(await work.folder('docker')));
  });
  after(() => work.end());

  /** The names that docker prints for a term. */
  const search = async (term: string, ...options: string[]): Promise<string[]> => {
    const format = ['--format', '{{.Name}}'];
    const said = await daemon.docker(['search', ...format, ...options, `${server.host}/${term}`]);
    return said.split('\n').filter((line) => line !== '');
  };

  it('finds repositories whichever protocol they came by', async () => {
    assert.deepEqual((await search('web')).sort(), [
      'a/deep/web',
      'team/new-web',
      'team/old-web',
      'webcam',
    ]);
  });

  it('finds by namespace, in any case, and as many as are asked for', async () => {
    assert.deepEqual((await search('TEAM/')).sort(), [
      'team/database',
      'team/new-web',
      'team/old-web',
    ]);
    assert.equal((await search('web', '--limit', '2')).length, 2);
  });

  it('finds nothing for what is not there', async () => {
    assert.deepEqual(await search('nothing-like-it'), []);
  });
});
