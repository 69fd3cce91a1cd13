// Puts the commands into few files in place of the compiler's many: a third of the start was finding and reading them.
// The compiler's other files are what the tests import.
import { readFileSync } from 'node:fs';
import { basename } from 'node:path';
import { build } from 'esbuild';
import { Findings } from './dist/src/config/findings.js';
import { parseYaml } from './dist/src/config/parse-tree.js';
import { flatten } from './dist/src/config/parsed-sample.js';

const OUT = 'dist/src';
const COMMON = { bundle: true, platform: 'node', target: 'node20.19', logLevel: 'warning' };
const HERE_IN_COMMONJS = {
  'import.meta.dirname': '__dirname',
  'import.meta.filename': '__filename',
  'import.meta.url': 'thisFile',
};

/** What is loaded when it is called for, from a file of its own: libraries of a few requests, and code that V8 must not keep. */
const LATE = { 'koa-body': 'koa-body', './import-module.ts': 'src/import-module.ts' };
const lateFile = (name) => `${basename(name, '.ts')}.cjs`;

/** The tree of the sample: to read its YAML took a quarter of a start. */
function parsedSample() {
  const text = readFileSync('config_sample.yml', 'utf8');
  const findings = new Findings();
  const tree = parseYaml(text, findings);
  if (tree === undefined || findings.mistakes.length > 0) throw new Error('the sample is no YAML');
  return { text, tree: flatten(tree) };
}

const late = {
  name: 'late',
  setup({ onResolve }) {
    onResolve({ filter: /./ }, ({ path }) =>
      path in LATE ? { path: `./${lateFile(path)}`, external: true } : undefined,
    );
  },
};

/** Parts of Node that take their time to load, and that most servers need late or never. */
const DEFERRED = new Set([
  'node:child_process',
  'node:fs/promises',
  'node:https',
  'node:inspector/promises',
  'node:stream/promises',
  'node:tls',
  'node:worker_threads',
  'node:zlib',
]);

/** Loads them when something of theirs is used for the first time, instead of when it is imported. */
const deferred = {
  name: 'deferred',
  setup({ onResolve, onLoad }) {
    onResolve({ filter: /^node:/ }, ({ path, kind }) =>
      kind === 'import-statement' && DEFERRED.has(path) ? { path, namespace: 'deferred' } : undefined,
    );
    onLoad({ filter: /./, namespace: 'deferred' }, async ({ path }) => {
      const names = Object.keys(await import(path)).filter((name) => name !== 'default');
      const getters = names.map((name) => `get ${name}() { return require('${path}').${name}; }`);
      return { contents: `module.exports = { ${getters.join(', ')} };` };
    });
  },
};

/** The library without the search through its table at every start: what that finds is put in. */
const mediaTypes = {
  name: 'media-types',
  setup({ onLoad }) {
    onLoad({ filter: /mime-types.index\.js$/ }, async ({ path }) => {
      const { extensions, types, _extensionConflicts: conflicts } = await import(path);
      const found = JSON.stringify(JSON.stringify({ extensions, types, conflicts }));
      const source = readFileSync(path, 'utf8');
      const search = 'populateMaps(exports.extensions, exports.types)';
      if (!source.includes(search)) throw new Error(`${path} does not ${search}`);
      const take = `{ const found = JSON.parse(${found});
        Object.assign(exports.extensions, found.extensions);
        Object.assign(exports.types, found.types);
        exports._extensionConflicts.push(...found.conflicts); }`;
      return { contents: source.replace(search, () => take) };
    });
    // All that is asked of the table afterwards is the character set of a type.
    onLoad({ filter: /mime-db.db\.json$/ }, ({ path }) => {
      const db = Object.entries(JSON.parse(readFileSync(path, 'utf8')));
      const kept = db.flatMap(([type, { charset }]) => (charset ? [[type, { charset }]] : []));
      return { contents: JSON.stringify(Object.fromEntries(kept)), loader: 'json' };
    });
  },
};

// The server and its commands in one script: of modules V8 keeps no code (make-code-cache.mjs).
await build({
  ...COMMON,
  entryPoints: ['src/programs.ts'],
  outfile: `${OUT}/chunks/programs.cjs`,
  format: 'cjs',
  // V8 forgets who loads modules for the code that it keeps.
  supported: { 'dynamic-import': false },
  sourcemap: true,
  // Native code, what the operator may leave out, and what must be the same copy as the operator's.
  external: ['@node-rs/bcrypt', 'ioredis', 'nodemailer', '@aws-sdk/*', '@opentelemetry/api'],
  plugins: [late, deferred, mediaTypes],
  // `accepts` has an older copy of its own, and with it a second table of all media types.
  alias: { 'mime-types': './node_modules/mime-types/index.js' },
  define: { ...HERE_IN_COMMONJS, PARSED_SAMPLE: JSON.stringify(parsedSample()) },
  banner: { js: "const thisFile = require('node:url').pathToFileURL(__filename).href;" },
});

/** A file that runs one program of the bundle at `to`, seen from there. */
const launcher = (out, to, program, options) =>
  build({
    ...COMMON,
    ...options,
    stdin: {
      contents: `import { join } from 'node:path';
        import { launch } from './src/launch.ts';
        launch(join(import.meta.dirname, '${to}'), '${program}');`,
      resolveDir: '.',
      sourcefile: `${program}-launcher.js`,
    },
    outfile: `${OUT}/${out}`,
  });
const command = { format: 'esm', banner: { js: '#!/usr/bin/env node' } };
await launcher('main.js', 'chunks/programs.cjs', 'isthmus', command);
await launcher('bin/registry.js', '../chunks/programs.cjs', 'registry', command);
// A worker begins in the old module system, which is there sooner.
const worker = { format: 'cjs', define: HERE_IN_COMMONJS };
await launcher('chunks/entry.cjs', 'programs.cjs', 'worker', worker);

await build({
  ...COMMON,
  entryPoints: [
    { in: 'src/bin/digest.ts', out: 'bin/digest' },
    { in: 'storage/bridge/decompress-worker.ts', out: 'chunks/decompress-worker' },
  ],
  outdir: OUT,
  format: 'esm',
  sourcemap: true,
  // Packages of the old module system ask for Node's own modules by `require`.
  banner: {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
  },
});
for (const [name, source] of Object.entries(LATE)) {
  const outfile = `${OUT}/chunks/${lateFile(name)}`;
  await build({ ...COMMON, entryPoints: [source], outfile, format: 'cjs', sourcemap: true });
}
