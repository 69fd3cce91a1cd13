import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it, type TestContext } from 'node:test';
import { startIsthmus } from '../../support/child-server.ts';
import { request } from '../../support/http-client.ts';
import { makeV1Chain } from '../../support/images.ts';
import { isthmus, MAIN } from '../../support/isthmus-command.ts';
import { OldTree } from '../../support/old-tree.ts';
import { temporaryDirectory } from '../../support/temporary.ts';

function oldTree(context: TestContext): { root: string; top: string; layers: number } {
  const tree = new OldTree(temporaryDirectory(context));
  const chain = makeV1Chain({ seed: 81, layers: 3 });
  const top = tree.addChain(chain);
  tree.writeRepository('library/busybox', 'tag_latest', top);
  return { root: tree.root, top, layers: chain.reduce((sum, { layer }) => sum + layer.length, 0) };
}

describe('isthmus import v1', () => {
  it('says what it would do, does it, and finds it done', async (context) => {
    const { root, layers } = oldTree(context);
    const store = temporaryDirectory(context);
    const dry = await isthmus(store, ['import', 'v1', root, '--dry-run', '--json']);
    const planned = JSON.parse(dry.out.toString()) as { images: object; layers: { bytes: number } };
    assert.deepEqual([planned.images, planned.layers.bytes], [{ imported: 3, present: 0 }, layers]);
    assert.equal(existsSync(join(store, 'docker')), false);
    const done = await isthmus(store, ['import', root]);
    assert.equal(done.code, 0, done.err);
    assert.match(
      done.out.toString(),
      /^imported 3 images, .* of layers \(3 linked, 0 copied\); 0 were there/,
    );
    assert.match(done.out.toString(), /everything came in/);
    const again = await isthmus(store, ['import', 'v1', root]);
    assert.match(
      again.out.toString(),
      /^imported 0 images, .*; 3 were there\nimported 0 tags in 1 repository; 1 were there/,
    );
  });

  it('lists what is broken, and its exit code says so', async (context) => {
    const { root, top } = oldTree(context);
    new OldTree(root).writeImage(top, '_inprogress', 'true');
    const ran = await isthmus(temporaryDirectory(context), ['import', 'v1', root]);
    assert.equal(ran.code, 2);
    const report = ran.out.toString();
    assert.ok(
      report.includes(`broken images, skipped:\n  ${top}: its push was never finished`),
      report,
    );
    assert.match(report, /left out:\n {2}library\/busybox:latest: image/);
  });

  it('goes on where it was killed', async (context) => {
    const tree = new OldTree(temporaryDirectory(context));
    const chain = makeV1Chain({ seed: 82, layers: 6, bytes: 4 * 2 ** 20 });
    tree.writeRepository('team/app', 'tag_v1', tree.addChain(chain));
    const store = temporaryDirectory(context);
    const images = join(store, 'docker/registry/v1/images');
    const child = spawn(process.execPath, [MAIN, 'import', 'v1', tree.root, '--copy'], {
      env: { ...process.env, STORAGE_PATH: store },
      stdio: 'ignore',
    });
    const gone = once(child, 'exit');
    const complete = () => chain.filter(({ id }) => existsSync(join(images, id))).length;
    while (complete() < 2 && child.exitCode === null)
      await new Promise((done) => setTimeout(done, 2));
    child.kill('SIGKILL');
    await gone;
    const before = complete();
    assert.ok(before >= 2 && before < 6, `${before} images were complete when it was killed`);
    const ran = await isthmus(store, ['import', 'v1', tree.root, '--json']);
    assert.equal(ran.code, 0, ran.err);
    const report = JSON.parse(ran.out.toString()) as { images: object; tags: { imported: number } };
    assert.deepEqual(report.images, { imported: 6 - before, present: before });
    assert.equal(report.tags.imported, 1);
    assert.equal((await isthmus(store, ['export', 'v1', temporaryDirectory(context)])).code, 0);
  });

  it('refuses what is no old registry', async (context) => {
    const ran = await isthmus(temporaryDirectory(context), [
      'import',
      'v1',
      temporaryDirectory(context),
    ]);
    assert.equal(ran.code, 1);
    assert.match(ran.err, /is no storage of docker-registry/);
  });
});

describe('a start over an old registry', () => {
  it('names the command that brings its images in, until they are in', async (context) => {
    const { root, top } = oldTree(context);
    const before = await startIsthmus({ storage: root });
    context.after(() => before.stop());
    assert.ok(before.output.includes(`isthmus import v1 ${root}`), before.output);
    assert.equal((await isthmus(root, ['import', 'v1', root])).code, 0);
    const tag = await request(`${before.url}/v1/repositories/busybox/tags/latest`);
    assert.equal(tag.body.toString(), `"${top}"`);
    await before.stop();
    const after = await startIsthmus({ storage: root });
    context.after(() => after.stop());
    assert.equal(after.output.includes('isthmus import v1'), false);
    await after.stop();
  });

  it('says nothing over any other storage', async (context) => {
    const server = await startIsthmus({ storage: temporaryDirectory(context) });
    context.after(() => server.stop());
    assert.equal(server.output.includes('isthmus import'), false);
  });
});

describe('isthmus export and import', () => {
  it('carry an image in a file, a pipe, and as an old registry', async (context) => {
    const { root, top } = oldTree(context);
    const store = temporaryDirectory(context);
    await isthmus(store, ['import', root]);
    const file = join(temporaryDirectory(context), 'busybox.tar');
    const exported = await isthmus(store, ['export', 'busybox:latest', '-o', file]);
    assert.equal(exported.code, 0, exported.err);
    const piped = await isthmus(store, ['export', 'busybox', '-o', '-', '--format', 'docker']);
    assert.deepEqual(piped.out, readFileSync(file));
    const other = temporaryDirectory(context);
    const imported = await isthmus(other, ['import', file]);
    assert.match(imported.out.toString(), /^imported busybox:latest {2}sha256:[0-9a-f]{64}\n$/);
    const renamed = await isthmus(other, ['import', '-', 'team/copy:1'], piped.out);
    assert.match(renamed.out.toString(), /^imported team\/copy:1 /);
    const tree = temporaryDirectory(context);
    const written = await isthmus(store, ['export', 'v1', tree, '--repository', 'busy*']);
    assert.equal(written.code, 0, written.err);
    assert.equal(readFileSync(join(tree, 'repositories/library/busybox/tag_latest'), 'utf8'), top);
  });

  const mistakes: [args: string[], reason: RegExp][] = [
    [['import'], /name what to import/],
    [['import', 'v1'], /name the storage root/],
    [['import', '/nowhere.tar'], /ENOENT/],
    [['import', '/dev/null', 'Bad:Name'], /invalid repository name/],
    [['import', '/dev/null', '--dry-run'], /for `import v1` only/],
    [['export'], /name what to export/],
    [['export', 'busybox'], /say where to with -o/],
    [['export', 'busybox', '-o', 'x', '--format', 'zip'], /unknown format zip; use docker or oci/],
    [['export', 'busybox', '-o', 'x', '--platform', 'arm64'], /is no platform/],
    [['export', 'none', '-o', 'x'], /repository name not known/],
    [['export', 'v1', 'x', '--repository', 'A B'], /is no pattern/],
  ];
  for (const [args, reason] of mistakes) {
    it(`explain: ${args.join(' ')}`, async (context) => {
      const ran = await isthmus(temporaryDirectory(context), args);
      assert.equal(ran.code, 1);
      assert.match(ran.err, reason);
    });
  }
});
