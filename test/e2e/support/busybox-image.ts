import { copyFile, mkdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { TarEntry } from '../../support/tar-layer.ts';
import { tool } from './command.ts';
import type { ExpectedFiles } from './rootfs.ts';

/** What a container of the built image must show. */
export const BUILT_FILES: ExpectedFiles = new Map([
  ['one', 'one\n'],
  ['two', 'two\n'],
  ['three', 'three\n'],
  ['gone', undefined],
  ['deep/er/five', 'five\n'],
]);

/** Its command prints this. */
export const BUILT_OUTPUT = 'one\ntwo\nthree\nfive\nhello\n';

/** File system layers of the built image. */
export const BUILT_LAYERS = 5;

const DOCKERFILE = `FROM scratch
COPY rootfs/ /
ENV GREETING=hello
RUN echo two > /two
COPY three /three
RUN /bin/busybox rm /gone
RUN /bin/busybox mkdir -p /deep/er && echo five > /deep/er/five
CMD ["/bin/sh", "-c", "/bin/busybox cat /one /two /three /deep/er/five; echo $GREETING"]
`;

/** Writes a build context: an image from scratch around a static busybox, in five layers. */
export async function writeContext(folder: string): Promise<string> {
  const bin = join(folder, 'rootfs', 'bin');
  await mkdir(bin, { recursive: true });
  await copyFile(tool('busybox'), join(bin, 'busybox'));
  await symlink('busybox', join(bin, 'sh'));
  await writeFile(join(folder, 'rootfs', 'one'), 'one\n');
  await writeFile(join(folder, 'rootfs', 'gone'), 'gone\n');
  await writeFile(join(folder, 'three'), 'three\n');
  await writeFile(join(folder, 'Dockerfile'), DOCKERFILE);
  return folder;
}

/** Entries that make a generated image one that can be run. */
export async function busyboxEntries(): Promise<TarEntry[]> {
  return [
    { name: 'bin/' },
    { name: 'bin/busybox', content: await readFile(tool('busybox')), mode: 0o755 },
    { name: 'bin/sh', link: { type: 'symbolic', target: 'busybox' }, mode: 0o777 },
  ];
}
