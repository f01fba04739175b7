import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const source = fileURLToPath(new URL('./src/', import.meta.url))

// Sanitizers make everything several times slower; they say so instead of editing every timeout.
const slowdown = Number(process.env['MCBN_TEST_SLOWDOWN'] ?? 1)
// A test that hangs is found all the same; one on a busy machine is not.
const patience = 120_000 * slowdown

/**
 * How often a failed test of processes and sockets may try again: in CI and under sanitizers only. There a burst of
 * somebody else's work can stop one of two processes for longer than the other one, a peer we did not write, waits;
 * the peers' patience is not ours to set. scripts/second-attempts.mjs names each test that had to. `npm test` has no
 * second attempt, and neither have tests of TypeScript alone: nothing can keep those from passing at first.
 */
const retry = process.env['CI'] === 'true' || process.env['MCBN_SANITIZED'] ? 2 : 0

/** Tests of processes mostly wait for them; under sanitizers they compute. */
const filesAtOnce = process.env['MCBN_SANITIZED'] ? 2 : 3

/** TypeScript alone: neither the addon nor what belongs to a process (signals, descriptors, children). */
const plain = [
  'test/errors.test.ts',
  'test/docs/**/*.test.ts',
  'test/psk/**/*.test.ts',
  'test/structure/**/*.test.ts',
  'test/consent/*.test.ts',
  'test/consent/{attestation,base64url,canonical,ceremony,descriptor,keys,participant,policy}/**/*.test.ts',
  'test/consent/{release,shares}/**/*.test.ts',
]

/** What runs the command, or the package, as users do: from dist/. */
const compiled = [
  'test/{cli,image,package,signatures}/**/*.test.ts',
  'test/interop/{cli,key-text,tshark}.test.ts',
]

export default defineConfig({
  resolve: {
    // The same mapping as "paths" in tsconfig.json: the package's own name is its sources.
    alias: [
      { find: /^mcbn$/, replacement: `${source}index.ts` },
      { find: /^mcbn\/(.+)$/, replacement: `${source}$1/index.ts` },
    ],
  },
  test: {
    environment: 'node',
    setupFiles: process.env['MCBN_SANITIZED'] ? ['test/support/sanitized.ts'] : [],
    poolOptions: {
      // One process a file: the addon keeps state per process, and a crash names its file.
      forks: { minForks: 1, maxForks: filesAtOnce },
      // One thread for all of them: loading the same modules anew takes longer than their tests.
      threads: { minThreads: 1, maxThreads: 1, isolate: false },
    },
    testTimeout: patience,
    hookTimeout: patience,
    teardownTimeout: 5_000 * slowdown,
    projects: [
      { extends: true, test: { name: 'plain', include: plain, pool: 'threads' } },
      {
        extends: true,
        // dist/ is made anew when src/ has changed; who tests the sources does not wait for it.
        test: {
          name: 'compiled',
          retry,
          include: compiled,
          pool: 'forks',
          globalSetup: ['test/support/compiled.ts'],
        },
      },
      {
        extends: true,
        test: {
          name: 'process',
          retry,
          include: ['test/**/*.test.ts'],
          exclude: [...plain, ...compiled],
          pool: 'forks',
        },
      },
    ],
  },
})
