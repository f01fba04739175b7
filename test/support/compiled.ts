// Vitest's globalSetup: dist/ is what src/ says before the first test, because the command `mcbn` is
// tested as users run it. Compiling it anew in each of some hundred processes would cost half of the
// time of these tests.

import type { TestProject } from 'vitest/node'
import { compile, isCurrent } from '../../scripts/compile.mjs'

export default function setup(project: TestProject): void {
  const ensure = (): void => {
    // Types are `npm run types`' business: a test may be run while one of them is wrong.
    if (!isCurrent()) compile({ check: false })
  }
  ensure()
  project.onTestsRerun(async () => ensure())
}
