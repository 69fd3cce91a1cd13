import type { TreeImportReport } from '../../storage/archives/import-report.ts';
import { formatBytes } from './progress.ts';

/** The report of `import v1` for programs: one object on one line. */
export function treeReportAsJson(report: TreeImportReport): string {
  return `${JSON.stringify({ ...report, repositories: [...report.repositories].sort() })}\n`;
}

/** The report of `import v1` for people. */
export function treeReportAsText(report: TreeImportReport): string {
  const { dryRun, images, layers, tags, orphans, unverified, repositories } = report;
  const did = dryRun ? 'would import' : 'imported';
  const how = dryRun ? '' : ` (${layers.linked} linked, ${layers.copied} copied)`;
  const lines = [
    `${did} ${count(images.imported, 'image')}, ${formatBytes(layers.bytes)} of layers${how}; ${images.present} were there`,
    `${did} ${count(tags.imported, 'tag')} in ${count(repositories.size, 'repository', 'repositories')}; ${tags.present} were there`,
  ];
  if (unverified > 0) {
    lines.push(`${count(unverified, 'image')} had no checksum to verify and came as found`);
  }
  if (orphans.count > 0) {
    lines.push(
      `left ${count(orphans.count, 'image')} of no tag (${formatBytes(orphans.bytes)}); --orphans brings them in`,
    );
  }
  lines.push(
    ...section(
      'broken images, skipped',
      report.broken.map(({ id, reason }) => [id, reason]),
    ),
  );
  lines.push(
    ...section(
      'left out',
      report.left.map(({ what, reason }) => [what, reason]),
    ),
  );
  lines.push(
    ...section(
      'put right',
      report.notes.map(({ what, note }) => [what, note]),
    ),
  );
  if (dryRun) lines.push('nothing was changed; checksums are verified while importing');
  else if (report.broken.length + report.left.length === 0) {
    lines.push(
      'everything came in; images/ and repositories/ of the old tree are no longer needed',
    );
  }
  return `${lines.join('\n')}\n`;
}

function section(title: string, entries: string[][]): string[] {
  if (entries.length === 0) return [];
  return [`${title}:`, ...entries.map(([what, why]) => `  ${printable(`${what}: ${why}`)}`)];
}

/** Names come from an old disk and may hold anything. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (each) => JSON.stringify(each).slice(1, -1));
}

function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
