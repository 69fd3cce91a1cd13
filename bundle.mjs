// Puts the commands into few files in place of the compiler's many: a third of the start was finding and reading them.
// What a command loads only when it needs it stays apart. The compiler's other files are what the tests import.
import { build } from 'esbuild';

await build({
  entryPoints: [
    { in: 'src/main.ts', out: 'main' },
    { in: 'src/bin/registry.ts', out: 'bin/registry' },
    { in: 'src/bin/digest.ts', out: 'bin/digest' },
    // Started by file name from beside whoever starts them, which are chunks.
    { in: 'src/workers/entry.ts', out: 'chunks/entry' },
    { in: 'storage/bridge/decompress-worker.ts', out: 'chunks/decompress-worker' },
  ],
  outdir: 'dist/src',
  chunkNames: 'chunks/[name]-[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20.19',
  sourcemap: true,
  // Native code, what the operator may leave out, and what must be the same copy as the operator's.
  external: ['@node-rs/bcrypt', 'ioredis', 'nodemailer', '@aws-sdk/*', '@opentelemetry/api'],
  // Packages of the old module system ask for Node's own modules by `require`.
  banner: {
    js: "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);",
  },
  logLevel: 'warning',
});
