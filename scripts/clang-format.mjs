// clang-format over every C++ file of the project: --check names what differs, --write mends it.
// The version is the one in package.json, so that two machines never disagree.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const files = ['native', 'test/native', 'fuzz'].flatMap(cppFiles)
const write = process.argv.includes('--write')
if (files.length > 0) {
  const { getNativeBinary } = createRequire(import.meta.url)('clang-format')
  const args = write ? ['-i'] : ['--dry-run', '--Werror']
  const done = spawnSync(getNativeBinary(), [...args, ...files], { cwd: root, stdio: 'inherit' })
  if (done.error) console.error(`clang-format: ${done.error.message}`)
  process.exitCode = done.status ?? 1
}
console.log(`clang-format: ${files.length} files ${write ? 'written' : 'checked'}`)

function cppFiles(folder) {
  try {
    return readdirSync(join(root, folder), { recursive: true })
      .filter((name) => /\.(cc|h)$/.test(name))
      .map((name) => join(folder, name))
      .sort()
  } catch {
    return [] // the folder does not exist
  }
}
