// prebuilds/<platform>-<arch>/mcbn[.<libc>].node: what `npm install mcbn` uses instead of a compiler.
//
//   node scripts/prebuilds.mjs                  for this platform, with its own compiler (prebuildify)
//   node scripts/prebuilds.mjs <target>...      for others, or `all`, with zig (scripts/cross/, on Linux x64)
//
// Always with Node 20's headers: OpenSSL 3.0's macros work on 3.5, the other way round nobody has promised.
import { execSync, spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { headersBesideNode } from './headers.mjs'

/**
 * By name: zig's target, and where src/native/find.ts looks for the file. glibc 2.28 is what Node 20 itself
 * needs, so that a binary runs wherever Node does; zig's own libc++ is linked in.
 */
const TARGETS = {
  'linux-x64-glibc': { zig: 'x86_64-linux-gnu.2.28', file: 'linux-x64/mcbn.glibc.node' },
  'linux-x64-musl': { zig: 'x86_64-linux-musl', file: 'linux-x64/mcbn.musl.node' },
  'linux-arm64-glibc': { zig: 'aarch64-linux-gnu.2.28', file: 'linux-arm64/mcbn.glibc.node' },
  'linux-arm64-musl': { zig: 'aarch64-linux-musl', file: 'linux-arm64/mcbn.musl.node' },
  'darwin-arm64': { zig: 'aarch64-macos.11.0', file: 'darwin-arm64/mcbn.node' },
  'darwin-x64': { zig: 'x86_64-macos.11.0', file: 'darwin-x64/mcbn.node' },
}

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const require = createRequire(import.meta.url)
const wanted = process.argv.slice(2)
if (process.versions.node.split('.')[0] !== '20') {
  fail(`prebuilds are made with Node.js 20's headers; this is ${process.versions.node}`)
}
if (wanted.length === 0) {
  forThisPlatform()
} else {
  for (const name of wanted.includes('all') ? Object.keys(TARGETS) : wanted) cross(name)
}

/** In its own folder, because prebuildify starts by removing build/. */
function forThisPlatform() {
  const stage = join(root, 'build', 'prebuilds')
  rmSync(stage, { recursive: true, force: true })
  mkdirSync(stage, { recursive: true })
  for (const name of ['native', 'binding.gyp', 'package.json']) {
    cpSync(join(root, name), join(stage, name), { recursive: true })
  }
  symlinkSync(join(root, 'node_modules'), join(stage, 'node_modules'))
  rmSync(join(root, 'prebuilds', `${process.platform}-${process.arch}`), {
    recursive: true,
    force: true,
  })
  const prebuildify = require.resolve('prebuildify/bin.js')
  run(process.execPath, [prebuildify, '--napi', '--strip', '--tag-libc', '--out', root], {
    cwd: stage,
    env: {
      ...process.env,
      ...headersBesideNode(),
      PREBUILD_NODE_GYP: require.resolve('node-gyp/bin/node-gyp.js'),
    },
  })
}

function cross(name) {
  const target = TARGETS[name]
  if (target === undefined) {
    fail(`expected ${Object.keys(TARGETS).join(', ')} or all, got ${name}`)
  }
  const { sources, defines, flags, darwinLibraries, linuxLibraries } = gyp()
  const darwin = name.startsWith('darwin')
  const file = join(root, 'prebuilds', target.file)
  mkdirSync(dirname(file), { recursive: true })
  const began = Date.now()
  run(zig(), [
    'c++',
    ...['-target', target.zig, '-g0', '-fPIC', '-shared', '-s'],
    // The paths of this machine are nobody's business, and would make the bytes depend on them.
    `-ffile-prefix-map=${root}=/src`,
    ...flags,
    ...defines.map((define) => `-D${define}`),
    ...['-I', 'native', '-isystem', headers(), '-isystem', require('node-addon-api').include_dir],
    ...sources,
    ...(darwin ? darwinLibraries : linuxLibraries),
    ...['-o', file],
  ])
  const runs = name === `${process.platform}-${process.arch}-glibc` ? '' : ', built, not run here'
  console.log(`${target.file}: ${statSync(file).size} B in ${seconds(began)} s${runs}`)
}

/** One place says how the addon is compiled. gyp's language is JSON with comments. */
function gyp() {
  const text = readFileSync(join(root, 'binding.gyp'), 'utf8').replace(/^\s*#.*$/gm, '')
  const [target] = JSON.parse(text).targets
  // gyp's way to ask a command for a list.
  const [, list] = /^<!@\((.*)\)$/.exec(target.sources[0])
  return {
    sources: execSync(list, { cwd: root, encoding: 'utf8' }).trim().split(' '),
    defines: target.defines,
    flags: target.cflags_cc.filter((flag) => !/^-W/.test(flag)).concat('-w'),
    linuxLibraries: target.ldflags,
    darwinLibraries: target.xcode_settings.OTHER_LDFLAGS,
  }
}

/** The compiler of scripts/cross/package-lock.json, installed the first time. */
function zig() {
  const folder = join(root, 'build', 'cross')
  mkdirSync(folder, { recursive: true })
  for (const name of ['package.json', 'package-lock.json']) {
    cpSync(join(root, 'scripts', 'cross', name), join(folder, name))
  }
  const program = join(folder, 'node_modules', '@ryoppippi', 'zig-linux-x64', 'zig')
  if (!statSync(program, { throwIfNoEntry: false })) {
    run('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund'], { cwd: folder })
  }
  return program
}

function headers() {
  const prefix = process.env.npm_config_nodedir ?? headersBesideNode().npm_config_nodedir
  if (!prefix) fail('no headers beside node: set npm_config_nodedir=<prefix>')
  return join(prefix, 'include', 'node')
}

function run(command, args, options = {}) {
  const { status, error } = spawnSync(command, args, { cwd: root, stdio: 'inherit', ...options })
  if (status !== 0) fail(`${command} ended with ${error?.message ?? `code ${status}`}`)
}

function seconds(began) {
  return Math.round((Date.now() - began) / 1000)
}

function fail(message) {
  console.error(`prebuilds: ${message}`)
  process.exit(1)
}
