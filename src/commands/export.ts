import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import type { Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  ARCHIVE_FORMATS,
  type ArchiveFormat,
  planArchive,
} from '../../storage/archives/export-archive.ts';
import { parseReference } from '../../storage/archives/image-reference.ts';
import { tarOf, tarSize } from '../../storage/archives/tar-writer.ts';
import { V1TreeExport } from '../../storage/archives/v1-tree-export.ts';
import { parsePlatform } from '../../storage/bridge/platform.ts';
import type { Platform } from '../../storage/manifest.ts';
import { isRepositoryPattern, repositoryMatcher } from '../config/patterns.ts';
import { type Command, type OptionValues, print, UsageError } from './command.ts';
import { CONFIG_HELP, CONFIG_OPTION, textOption, withContent } from './offline.ts';
import { formatBytes, ProgressMeter } from './progress.ts';

/** Some images have no V1 view. */
const INCOMPLETE = 2;

/** `export`: images as an archive, or as the storage of docker-registry 0.9. */
export const exportCommand: Command = {
  name: 'export',
  summary: 'writes images as an archive that docker loads, or as an old registry (v1 PATH)',
  usage: 'NAME[:TAG]… -o FILE|- | v1 PATH',
  options: {
    ...CONFIG_OPTION,
    output: { type: 'string', short: 'o' },
    format: { type: 'string' },
    platform: { type: 'string' },
    repository: { type: 'string' },
    copy: { type: 'boolean' },
  },
  optionHelp: {
    ...CONFIG_HELP,
    output: 'the file to write; - is standard output',
    format: 'docker (default): for `docker load` of any age; oci: an OCI layout',
    platform: 'docker: which image of an index, such as linux/arm64',
    repository: 'v1: only repositories that match, such as team/**',
    copy: 'v1: copies layers where they could be hard-linked',
  },
  operands: 100,
  async run(operands, options) {
    const [first, second, ...more] = operands;
    if (first === undefined) throw new UsageError('name what to export');
    if (first !== 'v1') return exportArchive(operands, options);
    if (second === undefined || more.length > 0) {
      throw new UsageError('name the one directory to write to');
    }
    return exportTree(second, options);
  },
};

async function exportTree(path: string, options: OptionValues): Promise<number> {
  const pattern = textOption(options, 'repository') ?? '**';
  if (!isRepositoryPattern(pattern)) {
    throw new UsageError(
      `${pattern} is no pattern of repositories; use * within a part, ** for any`,
    );
  }
  return withContent(options, async (content, log) => {
    const meter = new ProgressMeter('exporting', process.stderr, log);
    let done = 0;
    const job = new V1TreeExport(content, path, {
      matches: repositoryMatcher(pattern),
      link: options.copy !== true,
      onLayer: (bytes) => {
        done += bytes;
        meter.update({ done, total: undefined });
      },
    });
    const { images, bytes, tags, repositories, left } = await job.run().finally(() => meter.end());
    print(
      `exported ${images.exported} images, ${formatBytes(bytes)} of layers (${images.present} were there), ${tags} tags in ${repositories} repositories\n`,
    );
    for (const name of left) print(`left out: ${name} has no V1 view\n`);
    return left.length > 0 ? INCOMPLETE : 0;
  });
}

async function exportArchive(names: readonly string[], options: OptionValues): Promise<number> {
  const output = textOption(options, 'output');
  if (output === undefined)
    throw new UsageError('say where to with -o FILE, or -o - for standard output');
  if (output === '-' && process.stdout.isTTY) {
    throw new UsageError('an archive on a terminal helps nobody; use -o FILE, or pipe it');
  }
  const selections = names.map(parseReference);
  const format = formatOption(options);
  const platform = platformOption(options);
  return withContent(options, async (content, log) => {
    const files = await planArchive(content, selections, format, platform);
    const meter = new ProgressMeter('exporting', process.stderr, log);
    const total = tarSize(files);
    let done = 0;
    const archive = tarOf(files);
    archive.on('data', (chunk: Buffer) => {
      done += chunk.length;
      meter.update({ done, total });
    });
    archive.pause();
    await (output === '-'
      ? pipeline(archive, process.stdout as Writable)
      : toFile(archive, output)
    ).finally(() => meter.end());
    if (output !== '-') print(`exported ${names.join(', ')} to ${output}, ${formatBytes(total)}\n`);
    return 0;
  });
}

/** A file of that name is a whole archive, always. */
async function toFile(archive: NodeJS.ReadableStream, name: string): Promise<void> {
  const aside = `${name}.part`;
  try {
    await pipeline(archive, createWriteStream(aside, { flush: true }));
    await rename(aside, name);
  } finally {
    await rm(aside, { force: true });
  }
}

function formatOption(options: OptionValues): ArchiveFormat {
  const text = textOption(options, 'format') ?? 'docker';
  const format = ARCHIVE_FORMATS.find((each) => each === text);
  if (format) return format;
  throw new UsageError(`unknown format ${text}; use ${ARCHIVE_FORMATS.join(' or ')}`);
}

function platformOption(options: OptionValues): Platform | undefined {
  const text = textOption(options, 'platform');
  if (text === undefined) return undefined;
  const platform = parsePlatform(text);
  if (platform) return platform;
  throw new UsageError(`${text} is no platform; use os/architecture, such as linux/amd64`);
}
