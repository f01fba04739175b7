import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { onTestFinished } from 'vitest'

/** The folder of package.json. */
export const repositoryRoot = fileURLToPath(new URL('../../', import.meta.url))

/** The command `mcbn` as users run it: compiled, by `compiled.ts` before the first test. */
export const commandFile = join(repositoryRoot, 'dist', 'cli', 'main.js')

/** A new folder outside the tree, removed when the running test ends. */
export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'mcbn-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return folder
}
