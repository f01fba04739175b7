// Vitest's globalSetup: dist/ is what src/ says before the first test, because the command `mcbn` is
// tested as users run it. Compiling it anew in each of some hundred processes would cost half of the
// time of these tests.

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { compile, isCurrent } from '../../scripts/compile.mjs'

declare module 'vitest' {
  interface ProvidedContext {
    /** A folder of this run, for what the files of test/package share. */
    readonly package: string
  }
}

/** @returns what removes the shared folder at the end. */
export default function setup(project: TestProject): () => void {
  const ensure = (): void => {
    // Types are `npm run types`' business: a test may be run while one of them is wrong.
    if (!isCurrent()) compile({ check: false })
  }
  ensure()
  const shared = mkdtempSync(join(tmpdir(), 'mcbn-packages-'))
  project.provide('package', shared)
  project.onTestsRerun(async () => {
    ensure()
    rmSync(join(shared, 'made'), { recursive: true, force: true })
  })
  return () => rmSync(shared, { recursive: true, force: true })
}
