// What a user gets: the package is packed, installed into an empty project with a prebuilt binary,
// and used by plain JavaScript. No compiler, no TypeScript loader, and no network.

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { copyPage } from '../../scripts/copy-page.mjs'
import { repositoryRoot } from '../support/paths.js'
import { run } from '../support/process.js'

const require = createRequire(import.meta.url)
/** Nothing may lead the installed package to this repository's binaries. */
const plain = { MCBN_ADDON: undefined }
/** Empty at first: what this machine has fetched before must not help. */
let cache: string
const published = [
  'native',
  'src',
  'scripts',
  'binding.gyp',
  'docs/policy.schema.json',
  'package.json',
  'CHANGELOG.md',
  'LICENSE',
  'README.md',
]
const tuple = `${process.platform}-${process.arch}`

describe('package', () => {
  let workshop: string
  let project: string

  beforeAll(async () => {
    workshop = mkdtempSync(join(tmpdir(), 'mcbn-package-'))
    project = join(workshop, 'project')
    cache = join(workshop, 'cache')
    mkdirSync(project)
    writeFileSync(
      join(project, 'package.json'),
      '{ "name": "user", "private": true, "type": "module" }',
    )
    const tarballs = [await pack(stage(join(workshop, 'mcbn')), workshop)]
    for (const folder of await runtimeDependencies()) tarballs.push(await pack(folder, workshop))
    // Given as files, the dependencies are what was installed here: a registry is not asked.
    await npm(project, 'install', '--offline', ...tarballs)
  }, 120_000)

  afterAll(() => rmSync(workshop, { recursive: true, force: true }))

  it('installs with the prebuilt binary: nothing is compiled', () => {
    expect(readdirSync(join(project, 'node_modules/mcbn/prebuilds', tuple))).toHaveLength(1)
    expect(existsSync(join(project, 'node_modules/mcbn/build'))).toBe(false)
  })

  it('carries every entry of "exports" with its types, and no tests', () => {
    const installed = join(project, 'node_modules/mcbn')
    for (const [name, entry] of Object.entries(manifest().exports)) {
      const files = typeof entry === 'string' ? [entry] : Object.values(entry)
      for (const file of files)
        expect(existsSync(join(installed, file)), `${name}: ${file}`).toBe(true)
    }
    // Not compiled, so the build has to copy it.
    const page = 'dist/consent/participant/web/page'
    expect(readdirSync(join(installed, page))).toContain('index.html')
    expect(readdirSync(installed).filter((name) => /^(test|fuzz|bench)$/.test(name))).toEqual([])
  })

  it('imports mcbn, mcbn/tls, mcbn/dtls and mcbn/psk', async () => {
    const child = await program(`
      import * as mcbn from 'mcbn'
      import * as tls from 'mcbn/tls'
      import * as dtls from 'mcbn/dtls'
      import * as psk from 'mcbn/psk'
      console.log(mcbn.tls === tls, mcbn.dtls === dtls, mcbn.psk === psk)
      console.log(typeof tls.createServer, typeof dtls.createServer, typeof psk.derivePsk)`)
    expect(child.stdout, child.report()).toBe('true true true\nfunction function function\n')
  })

  it('connects over TLS and over DTLS', async () => {
    const child = await program(`
      import { once } from 'node:events'
      import * as tls from 'mcbn/tls'
      import * as dtls from 'mcbn/dtls'
      const psk = { Client1: Buffer.from('000102030405060708090a0b0c0d0e0f', 'hex') }
      const mine = { identity: 'Client1', key: psk.Client1 }

      const tlsServer = tls.createServer({ psk }, (socket) => socket.pipe(socket)).listen(0, '127.0.0.1')
      await once(tlsServer, 'listening')
      const stream = tls.connect({ host: '127.0.0.1', port: tlsServer.address().port, psk: mine })
      await once(stream, 'secureConnect')
      stream.write('over TLS')
      console.log(stream.getProtocol(), String((await once(stream, 'data'))[0]))
      stream.end()
      tlsServer.close()

      const dtlsServer = dtls.createServer({ psk }, (socket) => socket.on('message', (m) => socket.send(m)))
      dtlsServer.listen(0, '127.0.0.1')
      await once(dtlsServer, 'listening')
      const socket = dtls.connect({ host: '127.0.0.1', port: dtlsServer.address().port, psk: mine })
      await socket.opened
      socket.send('over DTLS')
      console.log(socket.getProtocol(), String((await once(socket, 'message'))[0]))
      await socket.close()
      await dtlsServer.close()`)
    expect(child.stdout, child.report()).toBe('TLSv1.3 over TLS\nDTLSv1.2 over DTLS\n')
    expect(child.exit.code, child.report()).toBe(0)
  })

  it('installs the command', async () => {
    const child = await npm(project, 'exec', '--offline', '--', 'mcbn', '--help')
    expect(child.stdout).toMatch(/Usage: mcbn/)
  })

  it('compiles for a user with strict TypeScript', async () => {
    symlinkSync(folderOf('typescript'), join(project, 'node_modules', 'typescript'))
    mkdirSync(join(project, 'node_modules', '@types'), { recursive: true })
    symlinkSync(folderOf('@types/node'), join(project, 'node_modules', '@types', 'node'))
    writeFileSync(
      join(project, 'use.ts'),
      `import * as dtls from 'mcbn/dtls'
       import { tls, psk } from 'mcbn'
       const key: Buffer = psk.derivePsk(['00'.repeat(32)], { scheme: 'sha256-concat' })
       export const server: dtls.DtlsServer = dtls.createServer({ psk: { a: key } })
       export const socket: tls.TlsSocket = tls.connect({ port: 1, psk: { identity: 'a', key } })
       // @ts-expect-error a key is bytes, never text
       tls.connect({ port: 1, psk: { identity: 'a', key: 'secret' } })`,
    )
    const options = [
      '--noEmit',
      '--strict',
      '--module',
      'nodenext',
      '--target',
      'es2022',
      '--types',
      'node',
    ]
    const child = await run(
      process.execPath,
      [require.resolve('typescript/bin/tsc'), ...options, 'use.ts'],
      {
        cwd: project,
        foreign: true,
      },
    )
    expect(child.stdout, child.report()).toBe('')
    expect(child.exit.code).toBe(0)
  }, 60_000)

  async function program(source: string) {
    const file = join(project, 'program.mjs')
    writeFileSync(file, source)
    return await run(process.execPath, [file], { cwd: project, foreign: true, env: plain })
  }
})

interface Manifest {
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>
}

function manifest(): Manifest {
  return require('../../package.json') as Manifest
}

/** The tree as it is published, with its own dist/ and the binary that was compiled here. */
function stage(folder: string): string {
  mkdirSync(folder)
  for (const name of published.filter((file) => existsSync(join(repositoryRoot, file)))) {
    const from = join(repositoryRoot, name)
    cpSync(from, join(folder, name), { recursive: true })
  }
  // .ci/run names the folder that `npm run prebuilds` filled.
  const prebuilds = process.env['MCBN_TEST_PREBUILDS']
  if (prebuilds) {
    cpSync(prebuilds, join(folder, 'prebuilds'), { recursive: true })
  } else {
    // Not the sanitized one that MCBN_ADDON may name: users never get that.
    const binary = join(repositoryRoot, 'build', 'Release', 'mcbn.node')
    mkdirSync(join(folder, 'prebuilds', tuple), { recursive: true })
    cpSync(binary, join(folder, 'prebuilds', tuple, 'mcbn.node'))
  }
  return folder
}

/** Folders of everything that comes along with mcbn, the dependencies' own dependencies included. */
async function runtimeDependencies(): Promise<string[]> {
  const child = await npm(repositoryRoot, 'ls', '--omit=dev', '--all', '--parseable')
  const [, ...folders] = child.stdout.trim().split('\n')
  return folders
}

async function pack(folder: string, destination: string): Promise<string> {
  if (existsSync(join(folder, 'binding.gyp'))) await compile(folder)
  const child = await npm(folder, 'pack', '--ignore-scripts', '--pack-destination', destination)
  return join(destination, `${child.stdout.trim().split('\n').at(-1)}`)
}

/** dist/ from the sources of this moment: the repository's own may be older. */
async function compile(folder: string): Promise<void> {
  const project = join(repositoryRoot, 'tsconfig.build.json')
  const compiler = require.resolve('typescript/bin/tsc')
  const child = await run(
    process.execPath,
    [compiler, '-p', project, '--outDir', join(folder, 'dist')],
    {
      foreign: true,
      lifetime: 60_000,
    },
  )
  expect(child.exit.code, child.report()).toBe(0)
  copyPage(join(repositoryRoot, 'src'), join(folder, 'dist'))
}

async function npm(folder: string, ...args: readonly string[]) {
  const env = { ...plain, npm_config_cache: cache }
  const child = await run('npm', args, { cwd: folder, foreign: true, lifetime: 100_000, env })
  expect(child.exit.code, child.report()).toBe(0)
  return child
}

function folderOf(dependency: string): string {
  return join(repositoryRoot, 'node_modules', dependency)
}
