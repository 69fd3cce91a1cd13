import { collectGarbage } from '../../storage/garbage-collection.ts';
import { V1GarbageRoot } from '../../storage/v1-garbage.ts';
import { type Command, complain, print } from './command.ts';
import { withContent } from './offline.ts';

/** `garbage-collect [options] [config]`: distribution's command (v2.md 7), over both protocols' content. */
export const garbageCollectCommand: Command = {
  name: 'garbage-collect',
  summary: 'deletes blobs that nothing refers to; run it while nobody pushes',
  usage: '[OPTIONS] [CONFIG]',
  options: {
    'dry-run': { type: 'boolean', short: 'd' },
    'delete-untagged': { type: 'boolean', short: 'm' },
    'untagged-v1': { type: 'boolean' },
    quiet: { type: 'boolean', short: 'q' },
    grace: { type: 'string' },
  },
  optionHelp: {
    'dry-run': 'says what would be deleted, and deletes nothing',
    'delete-untagged': 'also manifests that no tag, index or living subject keeps',
    'untagged-v1':
      'also images that V1 clients pushed and that neither a tag nor an image above keeps',
    quiet: 'only the summary',
    grace: 'keeps what was written in the last so many minutes (default 60)',
  },
  operands: 1,
  async run([path], options) {
    const minutes = Number(options.grace ?? 60);
    if (!Number.isFinite(minutes) || minutes < 0) {
      return complain('--grace takes a number of minutes, 0 or more');
    }
    return withContent({ config: path }, async (content) => {
      const untagged = options['untagged-v1'] === true;
      const v1 = new V1GarbageRoot(content.driver, { untagged });
      const report = await collectGarbage(
        content,
        {
          dryRun: options['dry-run'] === true,
          deleteUntagged: options['delete-untagged'] === true,
          quiet: options.quiet === true,
          graceMs: minutes * 60_000,
          roots: [v1],
        },
        (line) => void print(`${line}\n`),
      );
      if (untagged) print(`${v1.dead.length} V1 images eligible for deletion\n`);
      for (const problem of report.problems) complain(problem);
      return report.problems.length > 0 ? 1 : 0;
    });
  },
};
