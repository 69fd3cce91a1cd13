import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { run } from './command.ts';

/** Path and text of files; undefined: no such file. */
export type ExpectedFiles = ReadonlyMap<string, string | undefined>;

/** Unpacks layers, base first, over each other, with OCI's whiteouts (image-spec, layer.md). */
export async function unpack(layers: readonly Buffer[], folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  for (const layer of layers) {
    const archive = isGzip(layer) ? gunzipSync(layer) : layer;
    const names = (await run('tar', ['-tf', '-'], { input: archive })).toString().split('\n');
    for (const name of names) {
      const file = basename(name);
      if (!file.startsWith('.wh.')) continue;
      const at = join(folder, dirname(name));
      if (file === '.wh..wh..opq') await rm(at, { recursive: true, force: true });
      else await rm(join(at, file.slice('.wh.'.length)), { recursive: true, force: true });
    }
    await run('tar', ['-xpf', '-', '-C', folder, '--exclude=.wh.*'], { input: archive });
  }
}

function isGzip(bytes: Buffer): boolean {
  return bytes[0] === 0x1f && bytes[1] === 0x8b;
}

/** Fails unless the folder shows these files with these texts. */
export async function expectFiles(folder: string, expected: ExpectedFiles): Promise<void> {
  for (const [name, text] of expected) {
    const path = join(folder, name);
    if (text === undefined) assert.equal(existsSync(path), false, `${name} must not be there`);
    else assert.equal(await readFile(path, 'utf8'), text, name);
  }
}

/** Unpacks `layers` below `folder` and checks the files. */
export async function expectRootfs(
  layers: readonly Buffer[],
  folder: string,
  expected: ExpectedFiles,
): Promise<void> {
  await unpack(layers, folder);
  await expectFiles(folder, expected);
}
