// Compiles src/ to dist/: after `npm ci`, before `npm pack`, and as `npm run build`.
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { compile, typescript } from './compile.mjs'

// npm packs the modes that it finds, and prepares after scripts/prepack.mjs.
process.umask(0o022)
if (typescript() !== undefined) {
  try {
    compile()
  } catch (error) {
    console.error(`mcbn: ${error.message}`)
    process.exitCode = 1
  }
} else if (!existsSync(fileURLToPath(new URL('../dist/index.js', import.meta.url)))) {
  // `npm ci --omit=dev` has no compiler and may want only the addon: say so, do not fail.
  console.error('mcbn: dist/ was not built, because typescript is not installed here')
}
