// Before `npm pack`: gives the files that go into the package the modes that they have in git, 644 or 755. npm packs the
// modes that it finds, so that with umask 077 the package would have another checksum.
import { chmodSync, existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'

/** What npm takes although `files` does not name it. */
const ALWAYS = ['package.json', 'README.md', 'LICENSE']

const { files } = JSON.parse(readFileSync('package.json', 'utf8'))
const named = files.filter((name) => !name.startsWith('!'))
for (const path of [...ALWAYS, ...named.map((name) => name.split('/*')[0])]) {
  if (existsSync(path)) usualMode(path)
}

function usualMode(path) {
  const found = statSync(path)
  if (found.isDirectory()) {
    for (const name of readdirSync(path)) usualMode(join(path, name))
  } else {
    chmodSync(path, found.mode & 0o100 ? 0o755 : 0o644)
  }
}
