// prebuilds/<platform>-<arch>/mcbn.<libc>.node: what `npm install mcbn` uses instead of a compiler.
//
// Compiled in a folder of its own, because prebuildify starts by removing build/, and with Node 20's
// headers only: OpenSSL 3.0's macros work on 3.5, the other way round nobody has promised.
import { spawnSync } from 'node:child_process'
import { cpSync, mkdirSync, rmSync, symlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { headersBesideNode } from './headers.mjs'

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..')
const [major] = process.versions.node.split('.')
if (major !== '20') {
  console.error(`prebuilds are made with Node.js 20's headers; this is ${process.versions.node}`)
  process.exit(1)
}

const stage = join(root, 'build', 'prebuilds')
rmSync(stage, { recursive: true, force: true })
mkdirSync(stage, { recursive: true })
for (const name of ['native', 'binding.gyp', 'package.json']) {
  cpSync(join(root, name), join(stage, name), { recursive: true })
}
symlinkSync(join(root, 'node_modules'), join(stage, 'node_modules'))
rmSync(join(root, 'prebuilds'), { recursive: true, force: true })

const require = createRequire(import.meta.url)
const made = spawnSync(
  process.execPath,
  [require.resolve('prebuildify/bin.js'), '--napi', '--strip', '--tag-libc', '--out', root],
  {
    cwd: stage,
    stdio: 'inherit',
    env: {
      ...process.env,
      ...headersBesideNode(),
      PREBUILD_NODE_GYP: require.resolve('node-gyp/bin/node-gyp.js'),
    },
  },
)
process.exitCode = made.status ?? 1
