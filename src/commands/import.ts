import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import type { Readable } from 'node:stream';
import { repositoryOf } from '../../protocols/v1/names.ts';
import {
  type ArchiveEntry,
  directoryEntries,
  tarEntries,
} from '../../storage/archives/entry-source.ts';
import { parseReference } from '../../storage/archives/image-reference.ts';
import { type ImportedImage, importArchive } from '../../storage/archives/import-archive.ts';
import { V1Tree } from '../../storage/archives/v1-tree.ts';
import { V1TreeImport } from '../../storage/archives/v1-tree-import.ts';
import type { ContentStore } from '../../storage/content-store.ts';
import { type Command, type OptionValues, print, UsageError } from './command.ts';
import { CONFIG_HELP, CONFIG_OPTION, OPERATOR, withContent } from './offline.ts';
import { ProgressMeter } from './progress.ts';
import { treeReportAsJson, treeReportAsText } from './tree-report.ts';

/** Something was left out; the report says what. */
const INCOMPLETE = 2;

/** `import`: archives of images, and the storage of docker-registry 0.6 to 0.9. */
export const importCommand: Command = {
  name: 'import',
  summary: 'brings in images: an archive (docker save, OCI layout) or an old registry (v1 PATH)',
  usage: 'FILE|DIRECTORY|- [NAME[:TAG]] | v1 PATH',
  options: {
    ...CONFIG_OPTION,
    'dry-run': { type: 'boolean' },
    orphans: { type: 'boolean' },
    'move-tags': { type: 'boolean' },
    copy: { type: 'boolean' },
    json: { type: 'boolean' },
  },
  optionHelp: {
    ...CONFIG_HELP,
    'dry-run': 'v1: says what would be done and how many bytes, and does nothing',
    orphans: 'v1: brings in images of no tag, too',
    'move-tags': 'v1: moves tags that name something else here',
    copy: 'v1: copies layers where they could be hard-linked',
    json: 'reports as JSON',
  },
  operands: 2,
  async run([first, second], options) {
    if (first === undefined) throw new UsageError('name what to import');
    if (first === 'v1') {
      if (second === undefined) throw new UsageError('name the storage root of the old registry');
      return importTree(second, options);
    }
    if (first !== '-' && V1Tree.isAt(first) && second === undefined)
      return importTree(first, options);
    return importImages(first, second, options);
  },
};

async function importTree(path: string, options: OptionValues): Promise<number> {
  if (!V1Tree.isAt(path)) {
    throw new UsageError(
      `${path} is no storage of docker-registry: it has no images/ and repositories/`,
    );
  }
  return withContent(options, async (content, log) => {
    const meter = new ProgressMeter('importing', process.stderr, log);
    const job = new V1TreeImport(new V1Tree(path), content, {
      nameOf: (name) => repositoryOf(content, name),
      dryRun: options['dry-run'] === true,
      orphans: options.orphans === true,
      moveTags: options['move-tags'] === true,
      link: options.copy !== true,
      onProgress: (progress) => meter.update(progress),
    });
    const report = await job.run().finally(() => meter.end());
    print(options.json === true ? treeReportAsJson(report) : treeReportAsText(report));
    return report.broken.length + report.left.length > 0 ? INCOMPLETE : 0;
  });
}

async function importImages(
  source: string,
  name: string | undefined,
  options: OptionValues,
): Promise<number> {
  if (options['dry-run'] || options.orphans || options['move-tags'] || options.copy) {
    throw new UsageError('--dry-run, --orphans, --move-tags and --copy are for `import v1` only');
  }
  const wanted = name === undefined ? {} : parseReference(name);
  return withContent(options, async (content, log) => {
    const meter = new ProgressMeter('importing', process.stderr, log);
    const input = await openInput(source, content, meter);
    const imported = await importArchive(content, input.entries, {
      ...wanted,
      reader: OPERATOR,
      onBytes: input.onBytes,
    }).finally(() => meter.end());
    return print(options.json === true ? `${JSON.stringify(imported)}\n` : listed(imported));
  });
}

interface Input {
  entries: AsyncIterable<ArchiveEntry>;
  onBytes(bytes: number): void;
}

async function openInput(
  source: string,
  content: ContentStore,
  meter: ProgressMeter,
): Promise<Input> {
  const info = source === '-' ? undefined : await stat(source);
  let done = 0;
  const count = (total: number | undefined) => (bytes: number) => {
    done += bytes;
    meter.update({ done, total });
  };
  if (info?.isDirectory()) return { entries: directoryEntries(source), onBytes: count(undefined) };
  const stream: Readable =
    source === '-' ? process.stdin : createReadStream(source, { highWaterMark: 256 * 1024 });
  // What is left to do is known by the bytes of the file, whatever they unpack to.
  const onRead = count(info?.size);
  stream.on('data', (chunk: Buffer) => onRead(chunk.length));
  stream.pause();
  const { maxBytes, maxRatio } = content.facts.limits;
  const entries = tarEntries(stream, {
    maxBytes: maxBytes ?? Number.POSITIVE_INFINITY,
    ...(maxRatio !== undefined && { maxRatio }),
  });
  return { entries, onBytes: () => undefined };
}

function listed(imported: readonly ImportedImage[]): string {
  const lines = imported.flatMap(({ repository, tags, digest, imageId }) => {
    const what = digest ?? `V1 image ${imageId}`;
    const names = tags.length > 0 ? tags.map((tag) => `${repository}:${tag}`) : [repository];
    return names.map((each) => `imported ${each}  ${what}\n`);
  });
  return lines.join('');
}
