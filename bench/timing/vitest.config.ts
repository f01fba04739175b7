// npm run timing: what is about time itself, and so no test: a busy machine can make it fail. Each compares
// two things in turns, and has a counterpart that must be seen, so that it cannot pass by seeing nothing.

import { defineConfig, mergeConfig } from 'vitest/config'
import common from '../../vitest.config.js'

export default mergeConfig(
  { resolve: common.resolve },
  defineConfig({
    test: {
      include: ['bench/timing/*.timing.ts'],
      pool: 'forks',
      // One at a time: another file's work would be measured.
      fileParallelism: false,
      // A difference that is there is there each time; a neighbour's burst of work is not.
      retry: 2,
      testTimeout: 120_000,
    },
  }),
)
