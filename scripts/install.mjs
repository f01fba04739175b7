// Runs at `npm install` (in a user's project) and `npm ci` (in a checkout of this repository).
//
//   user's project   a prebuilt binary that loads is enough; otherwise the addon is compiled
//   checkout         always compiled, incrementally: a binary older than native/ would lie in tests
//
// Needs nothing from the network when Node's headers lie beside the running node, where its
// installers put them (<prefix>/include/node); otherwise node-gyp fetches them its own way.
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { headersBesideNode } from './headers.mjs'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const require = createRequire(import.meta.url)
// tsconfig.json is not among the published "files".
const checkout = existsSync(join(root, 'tsconfig.json'))

if (!process.argv.includes('--build') && !checkout && prebuiltLoads()) process.exit(0)

const { command, args } = nodeGyp()
const target = `${process.platform}-${process.arch}, Node ${process.versions.node}`
if (!checkout) console.error(`mcbn: no prebuilt addon for ${target}; compiling it`)
const built = spawnSync(
  command,
  // "configure build" and not "rebuild": make then compiles only what changed.
  [...args, 'configure', 'build', '--loglevel=warn', '--jobs=2'],
  { cwd: root, stdio: 'inherit', env: { ...process.env, ...headersBesideNode() } },
)
if (built.status !== 0) {
  const cause = built.error ? ` (${built.error.message})` : ''
  console.error(
    `mcbn: compiling the addon failed for ${target}${cause}. It needs a C++20 compiler ` +
      "(g++ 12 or clang 14), make, python3 and Node's headers (npm_config_nodedir=<prefix>).",
  )
  process.exit(1)
}

/** Loads it in a child process: a binary for another libc may end the process instead of failing. */
function prebuiltLoads() {
  const loader = join(root, 'dist', 'native', 'load.js')
  const load = 'import(process.argv[1]).then(({ loadAddon }) => loadAddon())'
  return spawnSync(process.execPath, ['-e', load, loader], { cwd: root }).status === 0
}

/** Ours in a checkout; npm's own copy, which npm puts on the PATH, in a user's project. */
function nodeGyp() {
  try {
    return { command: process.execPath, args: [require.resolve('node-gyp/bin/node-gyp.js')] }
  } catch {
    const npms = process.env['npm_config_node_gyp']
    return npms ? { command: process.execPath, args: [npms] } : { command: 'node-gyp', args: [] }
  }
}
