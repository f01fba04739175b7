import { fileURLToPath } from 'node:url'
import { defineConfig } from 'vitest/config'

const source = fileURLToPath(new URL('./src/', import.meta.url))

// Sanitizers make everything several times slower; they say so instead of editing every timeout.
const slowdown = Number(process.env['MCBN_TEST_SLOWDOWN'] ?? 1)
// What runs in CI shares its machine with strangers; a test that hangs is found there all the same.
const patience = (process.env['CI'] === 'true' ? 60_000 : 20_000) * slowdown

export default defineConfig({
  resolve: {
    // The same mapping as "paths" in tsconfig.json: the package's own name is its sources.
    alias: [
      { find: /^mcbn$/, replacement: `${source}index.ts` },
      { find: /^mcbn\/(.+)$/, replacement: `${source}$1/index.ts` },
    ],
  },
  test: {
    include: ['test/**/*.test.ts'],
    environment: 'node',
    // .ci/run allows a second attempt and names whatever needed it; nobody else does.
    retry: Number(process.env['MCBN_TEST_RETRY'] ?? 0),
    setupFiles: process.env['MCBN_SANITIZED'] ? ['test/support/sanitized.ts'] : [],
    // One process a file: the addon keeps state per process, and a crash names its file.
    pool: 'forks',
    poolOptions: { forks: { minForks: 1, maxForks: 2 } },
    testTimeout: patience,
    hookTimeout: patience,
    teardownTimeout: 5_000 * slowdown,
  },
})
