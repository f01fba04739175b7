// How else a program with mcbn is started: under the permission model, by require(), in worker threads, as a single
// executable application, and from a store of packages with links (pnpm). On each Node.js of NODES.

import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { build } from 'esbuild'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { temporaryFolder } from '../support/paths.js'
import { run } from '../support/process.js'
import { appAsJavaScript, installed, NODES, OVER_BOTH, type Project, plain } from './project.js'

let project: Project
beforeAll(async () => {
  project = await installed()
  writeFileSync(join(project.folder, 'main.mjs'), appAsJavaScript())
  await build({
    entryPoints: [join(project.folder, 'main.mjs')],
    outfile: join(project.folder, 'bundle.cjs'),
    bundle: true,
    platform: 'node',
    format: 'cjs',
    logLevel: 'silent',
  })
}, 240_000)
afterAll(() => project?.[Symbol.dispose]())

describe.each(NODES)('package on %s', { timeout: 240_000 }, (node) => {
  it('under the permission model: needs --allow-addons and the right to read the addon, and says so', async () => {
    const flags = await permissionFlags(node)
    const all = [...flags, '--allow-addons', `--allow-fs-read=${realpathSync(project.folder)}/*`]
    expect(await outcome(node, [...all, 'main.mjs'])).toEqual(OVER_BOTH)

    const [code] = [`--allow-fs-read=${realpathSync(project.folder)}/*`]
    const noAddons = await outcome(node, [...flags, code, 'main.mjs'])
    expect(noAddons).toMatchObject({ code: 'MCBN_ADDON_UNAVAILABLE' })
    expect(noAddons['message']).toMatch(/start Node\.js with --allow-addons/)

    const own = `--allow-fs-read=${realpathSync(project.folder)}/bundle.cjs`
    const noFile = await outcome(node, [...flags, '--allow-addons', own, 'bundle.cjs'])
    expect(noFile).toMatchObject({ code: 'MCBN_ADDON_UNAVAILABLE' })
    expect(noFile['message']).toMatch(/the permission model .*--allow-fs-read/)

    const named = await outcome(
      node,
      [...flags, '--allow-addons', own, `--allow-fs-read=${project.addon}`, 'bundle.cjs'],
      { MCBN_ADDON: project.addon },
    )
    expect(named).toEqual(OVER_BOTH)
  })

  it('by require() of CommonJS', async () => {
    writeFileSync(
      join(project.folder, 'required.cjs'),
      `const mcbn = require('mcbn')
       const tls = require('mcbn/tls')
       console.log(JSON.stringify([mcbn.tls === tls, typeof require('mcbn/consent').join]))`,
    )
    expect(await outcome(node, ['required.cjs'])).toEqual([true, 'function'])
  })

  it('in two worker threads at once, before any other thread, and stays loaded when they have ended', async () => {
    writeFileSync(
      join(project.folder, 'workers.mjs'),
      `import { readFileSync } from 'node:fs'
       import { Worker } from 'node:worker_threads'
       const lines = await Promise.all([0, 1].map(() => new Promise((resolve, reject) => {
         const worker = new Worker(new URL('./main.mjs', import.meta.url), { stdout: true })
         let text = ''
         worker.stdout.on('data', (chunk) => { text += chunk })
         worker.on('error', reject).on('exit', () => resolve(JSON.parse(text)))
       })))
       const stays = /mcbn[^/]*\\.node$/m.test(readFileSync('/proc/self/maps', 'utf8'))
       console.log(JSON.stringify([...lines.map(({ tls, dtls }) => ({ tls, dtls })), stays]))`,
    )
    const { tls, dtls } = OVER_BOTH
    expect(await outcome(node, ['workers.mjs'])).toEqual([{ tls, dtls }, { tls, dtls }, true])
  })

  it('as a single executable application: prebuilds beside it, or MCBN_ADDON; else it says so', async () => {
    const folder = temporaryFolder()
    const program = await singleExecutable(node, folder)
    const alone = await outcome(program, [])
    expect(alone).toMatchObject({ code: 'MCBN_ADDON_UNAVAILABLE' })
    expect(alone['message']).toMatch(/prebuilds beside/)
    expect(await outcome(program, [], { MCBN_ADDON: project.addon })).toEqual(OVER_BOTH)
    cpSync(join(project.mcbn, 'prebuilds'), join(folder, 'prebuilds'), { recursive: true })
    expect(await outcome(program, [])).toEqual(OVER_BOTH)
  })

  it('from a store with links, as pnpm lays packages out', async () => {
    const folder = temporaryFolder()
    const modules = join(folder, 'node_modules')
    const installedModules = join(project.folder, 'node_modules')
    for (const name of packagesIn(installedModules)) {
      const store = join(modules, '.pnpm', name.replace('/', '+'), 'node_modules')
      mkdirSync(dirname(join(store, name)), { recursive: true })
      // Hard links, as pnpm's store has them.
      const linked = await run('cp', ['-Rl', join(installedModules, name), join(store, name)])
      expect(linked.exit.code, linked.report()).toBe(0)
    }
    const store = join(modules, '.pnpm', 'mcbn', 'node_modules')
    for (const name of packagesIn(installedModules)) {
      if (name === 'mcbn') continue
      mkdirSync(dirname(join(store, name)), { recursive: true })
      symlinkSync(
        join(modules, '.pnpm', name.replace('/', '+'), 'node_modules', name),
        join(store, name),
      )
    }
    symlinkSync(join(store, 'mcbn'), join(modules, 'mcbn'))
    cpSync(join(project.folder, 'main.mjs'), join(folder, 'main.mjs'))
    expect(await outcome(node, [join(folder, 'main.mjs')])).toEqual(OVER_BOTH)
  })
})

/** What a program printed as its one line of JSON. */
async function outcome(
  command: string,
  args: readonly string[],
  env = {},
): Promise<Record<string, unknown>> {
  const child = await run(command, args, {
    cwd: project.folder,
    foreign: true,
    env: { ...plain, ...env },
  })
  expect(child.stdout, child.report()).toMatch(/^[{[].*[}\]]\n$/)
  expect(child.exit.signal, child.report()).toBe(null)
  return JSON.parse(child.stdout)
}

/** As this release names them. Since Node 25 the network is a separate permission. */
async function permissionFlags(node: string): Promise<string[]> {
  const asked = `const has = (flag) => process.allowedNodeEnvironmentFlags.has(flag)
    console.log(has('--permission'), has('--allow-net'))`
  const [permission, net] = (await run(node, ['-e', asked])).stdout.trim().split(' ')
  return [
    permission === 'true' ? '--permission' : '--experimental-permission',
    ...(net === 'true' ? ['--allow-net'] : []),
  ]
}

/** The bundle in a copy of node. */
async function singleExecutable(node: string, folder: string): Promise<string> {
  const config = join(folder, 'sea.json')
  const blob = join(folder, 'sea.blob')
  const program = join(folder, 'program')
  const main = join(project.folder, 'bundle.cjs')
  writeFileSync(config, JSON.stringify({ main, output: blob, disableExperimentalSEAWarning: true }))
  const made = await run(node, ['--experimental-sea-config', config], { foreign: true })
  expect(existsSync(blob), made.report()).toBe(true)
  cpSync(realpathSync(node), program)
  chmodSync(program, 0o755)
  const injected = await run(
    process.execPath,
    [
      ...['node_modules/postject/dist/cli.js', program, 'NODE_SEA_BLOB', blob],
      ...['--sentinel-fuse', 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2'],
    ],
    { foreign: true, lifetime: 110_000 },
  )
  expect(injected.exit.code, injected.report()).toBe(0)
  return program
}

function packagesIn(folder: string): string[] {
  return readdirSync(folder).flatMap((name) => {
    if (name.startsWith('.')) return []
    return name.startsWith('@')
      ? readdirSync(join(folder, name)).map((part) => `${name}/${part}`)
      : [name]
  })
}
