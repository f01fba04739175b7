// Makes the server's image again and again, each time in a new copy of this checkout and under other circumstances; two of
// the copies compile the addon too, without ccache. Says what differs: nothing may. Then changes one byte of a file, which
// must be named.
//
//   node scripts/reproduce.mjs                                       against build/Release/mcbn.node
//   node scripts/reproduce.mjs --platform linux/arm64 --addon FILE   the image alone, with this addon in it
//   node scripts/reproduce.mjs --node FILE                           the last copy's image is built by another Node.js
//
// All copies at once. Linux, as root, in a folder that others may read (another user is one of the circumstances), with git
// and Debian's faketime. 5 minutes on two cores.
import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import {
  chmodSync,
  copyFileSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { homedir, tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'

const execute = promisify(execFile)

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const { values: given } = parseArgs({
  options: {
    platform: { type: 'string', default: 'linux/amd64' },
    addon: { type: 'string' },
    node: { type: 'string', default: process.execPath },
  },
})

const NOBODY = 65_534
const BUILT = 'build/Release/mcbn.node'
const CLI = ['--import', 'tsx', 'src/cli/main.ts']
const ALL_AT_ONCE = {
  path: 'all',
  compiles: true,
  umask: '027',
  uid: NOBODY,
  clock: '-333d',
  env: { TZ: 'America/St_Johns', LC_ALL: 'de_DE.UTF-8', HOME: '/nonexistent/home' },
}
/** What differs from one copy to the next; what is not named is as in the first. */
const CIRCUMSTANCES = [
  { name: 'root, now' },
  {
    name: 'another path, umask and home',
    path: 'a/deeper/and_longer/path',
    compiles: true,
    umask: '077',
    env: { HOME: '/nonexistent/home' },
  },
  {
    name: 'another user, time zone and locale',
    uid: NOBODY,
    env: { USER: 'nobody', TZ: 'Asia/Kolkata', LC_ALL: 'tr_TR.UTF-8', LANG: 'tr_TR.UTF-8' },
  },
  { name: 'another day and hour, by faketime', clock: '+400d' },
  { name: 'all of these, another Node.js', node: resolve(given.node), ...ALL_AT_ONCE },
]

if (process.getuid?.() !== 0) fail('expected root: one copy is built by another user')
for (const [program, ...args] of [
  ['git', '--version'],
  ['faketime', '--version'],
  ['setpriv', '--version'],
]) {
  if ((await run(program, args)).status !== 0) fail(`expected ${program} on the PATH`)
}
const workshop = mkdtempSync(join(tmpdir(), 'mcbn-reproduce-'))
chmodSync(workshop, 0o755)
process.on('exit', () => rmSync(workshop, { recursive: true, force: true }))
// ccache would give the bytes of the first copy to all others.
const PATH = (process.env.PATH ?? '')
  .split(':')
  .filter((folder) => !/ccache/.test(folder))
  .join(':')
console.log(`with everything fetched and compressed before: ${await warmSeconds()} s`)
const results = await Promise.all(CIRCUMSTANCES.map(make))
const [first] = results
console.table(
  results.map(({ name, digest, addon, compiled }) => ({
    circumstances: name,
    image: digest.slice(0, 23),
    addon: `${addon.slice(0, 16)}${compiled ? ', compiled' : ''}`,
  })),
)
console.log(`${first.digest}\naddon sha256:${first.addon}`)
let failed = false
for (const other of results.slice(1)) {
  const { status, stdout } = await mcbn(first, ['image', 'diff', first.archive, other.archive])
  if (status !== 0) console.log(`${other.name} differs:\n${stdout}`)
  failed ||= status !== 0 || stdout !== ''
}
if (failed) fail('the same source made different images')
console.log(`mcbn image diff: empty, ${results.length} builds`)
for (const name of ['LICENSE', 'src/cli/exit.ts']) {
  const told = await oneByte(name)
  console.log(`one byte of ${name} changed:\n${told}`)
}

/** A copy, its addon and its image. */
async function make(circumstances, at) {
  const { name, path = `${at}`, umask = '022', uid = 0 } = circumstances
  const place = join(workshop, `copy-${at}`)
  const folder = join(place, path)
  mkdirSync(folder, { recursive: true })
  const tracked = ok(await run('git', ['ls-files', '-z'], { cwd: root }))
    .stdout.split('\0')
    .filter(Boolean)
  for (const file of tracked) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    copyFileSync(join(root, file), join(folder, file))
  }
  symlinkSync(join(root, 'node_modules'), join(folder, 'node_modules'))
  ok(await run('chmod', ['-R', umask === '022' ? 'u=rwX,go=rX' : 'go-rwx', place]))
  ok(await run('chown', ['-hR', `${uid}:${uid}`, place]))
  const copy = { name, circumstances, folder, place, archive: join(place, 'server.tar') }
  const compiles = circumstances.compiles && given.addon === undefined
  if (compiles) ok(await within(copy, process.execPath, ['scripts/install.mjs', '--build']))
  const addon = compiles ? join(folder, BUILT) : resolve(given.addon ?? join(root, BUILT))
  const cache = join(place, 'cache')
  sources(cache)
  ok(await run('chown', ['-R', `${uid}:${uid}`, cache]))
  const { node = process.execPath } = circumstances
  const args = ['image', 'build', 'server', '--platform', given.platform, '--addon', addon]
  const built = ok(
    await within(copy, node, [
      ...CLI,
      ...args,
      '--cache',
      cache,
      '--offline',
      '--archive',
      copy.archive,
      '--json',
    ]),
  )
  const { digest } = JSON.parse(built.stdout)
  console.log(`${name}: ${digest}`)
  return {
    ...copy,
    digest,
    addon: sha256(addon),
    compiled: compiles,
    addonFile: addon,
    cache,
  }
}

/** Of the second build of this checkout: the first one fetches what is missing. */
async function warmSeconds() {
  const addon = given.addon === undefined ? [] : ['--addon', resolve(given.addon)]
  let began
  for (const name of ['first', 'second']) {
    began = process.hrtime.bigint()
    const args = ['image', 'build', 'server', '--platform', given.platform, ...addon]
    ok(
      await run(process.execPath, [...CLI, ...args, '--archive', join(workshop, name)], {
        cwd: root,
      }),
    )
  }
  return Number((process.hrtime.bigint() - began) / 1_000_000_000n)
}

/** What was fetched here before, without what was made of it: each copy compresses its layers anew. */
function sources(cache) {
  mkdirSync(cache, { mode: 0o700 })
  const known = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'mcbn')
  if (!existsSync(known)) return
  cpSync(known, cache, { recursive: true, filter: (name) => !name.includes('gzip-') })
}

function within({ folder, circumstances }, program, args) {
  const { umask = '022', uid = 0, clock, env = {} } = circumstances
  const line = [
    ...(uid === 0 ? [] : ['setpriv', `--reuid=${uid}`, `--regid=${uid}`, '--clear-groups']),
    ...(clock === undefined ? [] : ['faketime', '-f', clock]),
    program,
    ...args,
  ]
  // Waiting is done by the real clock, which nothing here tells anybody.
  const clean = { PATH, HOME: homedir(), FAKETIME_DONT_FAKE_MONOTONIC: '1', ...env }
  return run('sh', ['-c', `umask ${umask} && exec "$@"`, 'sh', ...line], {
    cwd: folder,
    env: clean,
  })
}

/** @returns what `mcbn image diff` says of it, which has to be that file alone. */
async function oneByte(name) {
  const body = readFileSync(join(first.folder, name))
  // In the sources the text of a message, so that they still compile.
  const at = name.endsWith('.ts') ? body.indexOf('give both sides') : 0
  if (at < 0 || body.length === 0) fail(`${name}: no byte to change`)
  const changed = Buffer.from(body)
  changed[at] ^= 1
  writeFileSync(join(first.folder, name), changed)
  const archive = join(first.place, `changed-${sha256(join(first.folder, name)).slice(0, 8)}.tar`)
  const args = ['--platform', given.platform, '--addon', first.addonFile, '--cache', first.cache]
  ok(
    await within(first, process.execPath, [
      ...CLI,
      'image',
      'build',
      'server',
      ...args,
      '--archive',
      archive,
    ]),
  )
  writeFileSync(join(first.folder, name), body)
  const { status, stdout } = await mcbn(first, ['image', 'diff', first.archive, archive])
  const files = stdout.split('\n').filter((line) => /^\S/.test(line))
  const expected = name.replace(/^src\/(.*)\.ts$/, 'dist/$1.js')
  if (status !== 1 || files.length !== 1 || !files[0].includes(expected)) {
    fail(`expected ${expected} alone, got\n${stdout}`)
  }
  return stdout.trimEnd()
}

function mcbn(copy, args) {
  return within({ ...copy, circumstances: {} }, process.execPath, [...CLI, ...args])
}

/** @returns also of a program that failed or is not there. */
async function run(program, args, options = {}) {
  try {
    const { stdout } = await execute(program, args, { maxBuffer: 1 << 28, ...options })
    return { status: 0, stdout }
  } catch (error) {
    return { status: error.code, stdout: error.stdout ?? '', error }
  }
}

function ok(result) {
  if (result.status === 0) return result
  return fail(`${result.error.message}${result.stdout}`)
}

function sha256(file) {
  return createHash('sha256').update(readFileSync(file)).digest('hex')
}

function fail(message) {
  console.error(`reproduce: ${message}`)
  process.exit(1)
}
