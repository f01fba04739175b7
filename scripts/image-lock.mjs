// Writes image.lock: what comes into the images of `mcbn image`, by its hash.
//
//   node scripts/image-lock.mjs            takes over what package-lock.json has
//   node scripts/image-lock.mjs --update   looks for newer libraries of Debian too (needs apt), and for
//                                          NODE_VERSION=24.21.0 of Node.js; sets the images' time to today
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'

const root = resolve(import.meta.dirname ?? '.', '..')
const path = join(root, 'image.lock')
const PLATFORMS = { 'linux/amd64': ['amd64', 'x64'], 'linux/arm64': ['arm64', 'arm64'] }
const LIBRARIES = ['ca-certificates', 'gcc-12-base', 'libc6', 'libgcc-s1', 'libstdc++6']
const DAY = 86_400

const before = existing()
const update = process.argv.includes('--update')
const lock = {
  version: 1,
  created: update ? Math.floor(Date.now() / 1_000 / DAY) * DAY : before.created,
  debian: update ? perPlatform(([debian]) => libraries(debian)) : before.debian,
  node: update ? perPlatform(([, node]) => nodePackage(node)) : before.node,
  packages: ownPackages(),
}
writeFileSync(path, `${JSON.stringify(lock, null, 2)}\n`)

function existing() {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch {
    return {}
  }
}

function perPlatform(make) {
  return Object.fromEntries(Object.entries(PLATFORMS).map(([name, words]) => [name, make(words)]))
}

/** What runs in production, as package-lock.json has it. */
function ownPackages() {
  const { packages } = JSON.parse(readFileSync(join(root, 'package-lock.json'), 'utf8'))
  return Object.fromEntries(
    Object.entries(packages)
      // One list for all platforms: what is for one of them only is not in it.
      .filter(
        ([folder, one]) => folder.startsWith('node_modules/') && !one.dev && !one.os && !one.cpu,
      )
      .map(([folder, { name, version, integrity }]) => [
        folder,
        {
          name: name ?? folder.slice(folder.lastIndexOf('node_modules/') + 13),
          version,
          integrity,
        },
      ]),
  )
}

function nodePackage(arch) {
  const name = `node-linux-${arch}`
  const version = process.env.NODE_VERSION ?? before.node?.['linux/amd64']?.version
  const args = ['view', `${name}@${version}`, 'dist.integrity', '--json']
  return { name, version, integrity: JSON.parse(execFileSync('npm', args, { encoding: 'utf8' })) }
}

/** apt's own answer, for a processor that this machine need not have, without touching its state. */
function libraries(arch) {
  const state = mkdtempSync(join(tmpdir(), 'mcbn-apt-'))
  try {
    const options = [
      ...['State', 'Cache'].map((name) => `Dir::${name}=${state}/${name}`),
      'Dir::State::status=/dev/null',
      `APT::Architecture=${arch}`,
      `APT::Architectures=${arch}`,
      // What else is configured here may be for another processor.
      'Dir::Etc::sourcelist=/etc/apt/sources.list.d/debian.sources',
      'Dir::Etc::sourceparts=/dev/null',
    ].flatMap((option) => ['-o', option])
    for (const name of ['State/lists/partial', 'Cache/archives/partial']) {
      execFileSync('mkdir', ['-p', join(state, name)])
    }
    execFileSync('apt-get', [...options, 'update', '-qq'], { stdio: 'inherit' })
    return LIBRARIES.map((name) => {
      const about = execFileSync('apt-cache', [...options, 'show', '--no-all-versions', name], {
        encoding: 'utf8',
      })
      const field = (key) => new RegExp(`^${key}: (.+)$`, 'm').exec(about)?.[1]
      return {
        name,
        version: field('Version'),
        path: field('Filename'),
        sha256: field('SHA256'),
      }
    })
  } finally {
    rmSync(state, { recursive: true, force: true })
  }
}
