import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { before, describe, it } from 'node:test';
import { parse } from 'yaml';
import { packageRoot } from '../src/package-root.ts';
import { mistakesIn } from './support/config.ts';
import { isthmus } from './support/isthmus-command.ts';

const home = packageRoot();
const text = (path: string) => readFileSync(join(home, path), 'utf8');
const sample = text('config_sample.yml');
const configuration = text('docs/configuration.md');
const operations = text('docs/operations.md');

/** Dotted paths of all single values, lists and empty maps. */
function leaves(value: unknown, path = ''): string[] {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return [path];
  const entries = Object.entries(value);
  if (entries.length === 0) return [path];
  return entries.flatMap(([key, each]) => leaves(each, path === '' ? key : `${path}.${key}`));
}

/** The settings in the first column of the tables under "Settings". */
function documentedSettings(): string[] {
  const [, settings = ''] = /^## Settings\n([\s\S]*?)^## /m.exec(configuration) ?? [];
  return [...settings.matchAll(/^\| (`[^|]*) \|/gm)].flatMap(([, cell = '']) =>
    [...cell.matchAll(/`([^`]+)`/g)].map(([, name = '']) => name),
  );
}

/** `a.b.c` as a flavor that gives it no value. */
function asFlavor(path: string): string {
  const keys = ['dev', ...path.split('.')];
  return keys.map((key, depth) => `${' '.repeat(depth)}${key}:`).join('\n');
}

describe('docs/configuration.md', () => {
  const flavors = parse(sample, { merge: true }) as Record<string, unknown>;
  const documented = documentedSettings();

  it('has every option of the sample', () => {
    const options = ['dev', 'prod', 'test'].flatMap((name) => leaves(flavors[name]));
    assert.ok(options.length > 150);
    const lacking = [...new Set(options)].filter((option) => {
      // Headers are named by the operator; these two have no effect, which is said elsewhere on the page.
      if (option.startsWith('http.headers.')) return false;
      if (option === 'privileged_key' || option === 'storage_redirect') return false;
      return !documented.includes(option);
    });
    assert.deepEqual(lacking, []);
  });

  it('has no setting that there is not', () => {
    assert.ok(documented.length > 120);
    const unknown = documented.filter((path) =>
      mistakesIn(asFlavor(path)).some((mistake) => /unknown key|no storage driver/.test(mistake)),
    );
    assert.deepEqual(unknown, []);
    assert.match(mistakesIn(asFlavor('http.timeouts.header')).join(), /unknown key/);
  });

  it('has every environment variable of the sample', () => {
    const variables = [...sample.matchAll(/_env:([A-Z_]+)/g)].map(([, name = '']) => name);
    assert.ok(variables.length > 15);
    assert.deepEqual(
      variables.filter((name) => name !== 'NAME' && !configuration.includes(`\`${name}\``)),
      [],
    );
  });
});

describe('docs/operations.md and README.md', () => {
  let commands: string[];
  before(async () => {
    const { out } = await isthmus(home, ['--help']);
    commands = [...out.toString().matchAll(/^ {2}([a-z-]+) /gm)].map(([, name = '']) => name);
  });

  it('have every command, with all its options', async () => {
    assert.ok(commands.length >= 7);
    for (const command of commands) {
      assert.match(text('README.md'), new RegExp(`isthmus ${command}\\b`), command);
      const rows = operations
        .split('\n')
        .filter((line) => line.startsWith(`| \`isthmus ${command}`));
      assert.ok(rows.length > 0, command);
      const help = (await isthmus(home, [command, '--help'])).out.toString();
      for (const [, option = ''] of help.matchAll(/^ +(?:-\w, )?(--[a-z-]+)/gm)) {
        // It is said of all commands at once that they take the server's configuration.
        if (option === '--config') continue;
        assert.ok(rows.join('\n').includes(option), `${command} ${option}`);
      }
    }
  });
});

describe('links in the documentation', () => {
  const pages = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md'].concat(
    readdirSync(join(home, 'docs'))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`),
  );
  for (const page of pages) {
    it(`lead somewhere from ${page}`, () => {
      const prose = text(page).replace(/```[\s\S]*?```/g, '');
      const dead = [...prose.matchAll(/\]\(([^)#\s]*)(?:#([^)\s]+))?\)/g)].filter(
        ([, file = '', heading]) => {
          if (/^https?:/.test(file)) return false;
          const path = file === '' ? page : join(dirname(page), file);
          if (!existsSync(join(home, path))) return true;
          return heading !== undefined && !headingsOf(text(path)).includes(heading);
        },
      );
      assert.deepEqual(
        dead.map(([link]) => link),
        [],
      );
    });
  }
});

/** The names that headings are linked by. */
function headingsOf(page: string): string[] {
  return [...page.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) =>
    title
      .toLowerCase()
      .replace(/[^\p{L}\p{N} _-]/gu, '')
      .replaceAll(' ', '-'),
  );
}
