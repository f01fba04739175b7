// Compiles src/ to dist/: after `npm ci`, before `npm pack`, and as `npm run build`.
import { spawnSync } from 'node:child_process'
import { chmodSync, existsSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { copyPage } from './copy-page.mjs'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const dist = join(root, 'dist')
const compiler = typescript()
if (compiler) {
  rmSync(dist, { recursive: true, force: true })
  const compiled = spawnSync(process.execPath, [compiler, '-p', 'tsconfig.build.json'], {
    cwd: root,
    stdio: 'inherit',
  })
  if (compiled.status !== 0) process.exit(compiled.status ?? 1)
  copyPage(join(root, 'src'), dist)
  // So that a linked or directly run command works; npm sets the bit only when it installs.
  const command = join(dist, 'cli', 'main.js')
  if (existsSync(command)) chmodSync(command, 0o755)
} else if (!existsSync(join(dist, 'index.js'))) {
  // `npm ci --omit=dev` has no compiler and may want only the addon: say so, do not fail.
  console.error('mcbn: dist/ was not built, because typescript is not installed here')
}

function typescript() {
  try {
    return createRequire(import.meta.url).resolve('typescript/bin/tsc')
  } catch {
    return undefined
  }
}
