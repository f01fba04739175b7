// What a user gets: the package is packed, installed into an empty project with a prebuilt binary,
// and used by plain JavaScript. No compiler, no TypeScript loader, and no network.

import { execFileSync, spawnSync } from 'node:child_process'
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join, relative } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { repositoryRoot, temporaryFolder } from '../support/paths.js'
import { run } from '../support/process.js'
import {
  appAsJavaScript,
  installed,
  NODES,
  npm,
  OVER_BOTH,
  type Project,
  pack,
  plain,
  stage,
  tuple,
} from './project.js'

const require = createRequire(import.meta.url)

describe('package', () => {
  let project: Project

  beforeAll(async () => {
    project = await installed()
  }, 240_000)

  afterAll(() => project?.[Symbol.dispose]())

  it('installs with the prebuilt binary: nothing is compiled', () => {
    expect(readdirSync(join(project.mcbn, 'prebuilds', tuple)).length).toBeGreaterThan(0)
    expect(existsSync(join(project.mcbn, 'build'))).toBe(false)
  })

  it('carries every entry of "exports" with its types', () => {
    for (const [name, entry] of Object.entries(manifest().exports)) {
      const files = typeof entry === 'string' ? [entry] : Object.values(entry)
      for (const file of files)
        expect(existsSync(join(project.mcbn, file)), `${name}: ${file}`).toBe(true)
    }
    // Not compiled, so the build has to copy it.
    expect(readdirSync(join(project.mcbn, 'dist/consent/participant/web/page'))).toContain(
      'index.html',
    )
  })

  it('carries documents and examples, and what they link to; no tests, fuzzers or benchmarks', () => {
    for (const name of ['src/cli/demo', 'src/cli/bench', 'dist/cli/demo', 'dist/cli/bench'])
      expect(existsSync(join(project.mcbn, name)), name).toBe(false)
    expect(
      readdirSync(project.mcbn).filter((name) => /^(test|fuzz|bench|\.ci)$/.test(name)),
    ).toEqual([])
    expect(readdirSync(join(project.mcbn, 'examples'))).toEqual(
      readdirSync(join(repositoryRoot, 'examples')),
    )
    const documents = readdirSync(project.mcbn, { recursive: true, encoding: 'utf8' }).filter(
      (name) => name.endsWith('.md') && !name.startsWith('node_modules'),
    )
    expect(documents).toContain('docs/INSTALL.md')
    const missing = documents.flatMap((name) =>
      linksOf(readFileSync(join(project.mcbn, name), 'utf8'))
        .map((link) => join(project.mcbn, dirname(name), link))
        .filter((target) => !existsSync(target))
        .map((target) => `${name}: ${relative(project.mcbn, target)}`),
    )
    expect(missing).toEqual([])
  })

  it('is packed to the same bytes from another folder, on another day, with another umask', async () => {
    const workshop = temporaryFolder()
    const folder = stage(join(workshop, 'elsewhere'))
    for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) {
      utimesSync(join(folder, name), 1, 1)
      const { mode } = statSync(join(folder, name))
      chmodSync(join(folder, name), mode & 0o700)
    }
    execFileSync(process.execPath, [join(repositoryRoot, 'scripts', 'prepack.mjs')], {
      cwd: folder,
    })
    const again = await pack(folder, workshop)
    expect(readFileSync(again).equals(readFileSync(project.tarball))).toBe(true)
  })

  it.each(NODES)(
    'connects over TLS and over DTLS on %s, and loads the addon no sooner',
    async (node) => {
      const child = await program(node)
      expect(JSON.parse(child.stdout), child.report()).toEqual(OVER_BOTH)
      expect(child.exit.code, child.report()).toBe(0)
    },
  )

  it.each(NODES)('imports mcbn with all that has its own entry, on %s', async (node) => {
    const child = await program(
      node,
      `
      import * as mcbn from 'mcbn'
      import * as tls from 'mcbn/tls'
      import * as dtls from 'mcbn/dtls'
      import * as psk from 'mcbn/psk'
      console.log(mcbn.tls === tls, mcbn.dtls === dtls, mcbn.psk === psk)`,
    )
    expect(child.stdout, child.report()).toBe('true true true\n')
  })

  it('installs the command', async () => {
    const child = await npm(project.folder, 'exec', '--offline', '--', 'mcbn', '--help')
    expect(child.stdout).toMatch(/Usage: mcbn/)
  })

  it.each(['demo', 'bench'])('says where to run %s, which it leaves out', (name) => {
    const main = join(project.mcbn, 'dist', 'cli', 'main.js')
    const ran = spawnSync(process.execPath, [main, name], { encoding: 'utf8' })
    expect(ran.stderr).toMatch(/expected a checkout of mcbn/)
    expect(ran.status).toBe(2)
    const help = spawnSync(process.execPath, [main, '--help'], { encoding: 'utf8' }).stdout
    expect(help).not.toMatch(new RegExp(`^ +${name}\\b`, 'm'))
  })

  it('compiles for a user with strict TypeScript', async () => {
    symlinkSync(folderOf('typescript'), join(project.folder, 'node_modules', 'typescript'))
    mkdirSync(join(project.folder, 'node_modules', '@types'), { recursive: true })
    symlinkSync(folderOf('@types/node'), join(project.folder, 'node_modules', '@types', 'node'))
    writeFileSync(
      join(project.folder, 'use.ts'),
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
        cwd: project.folder,
        foreign: true,
        lifetime: 110_000,
      },
    )
    expect(child.stdout, child.report()).toBe('')
    expect(child.exit.code).toBe(0)
  }, 120_000)

  /** Runs a program in the project: the one of this folder's tests, or another. */
  async function program(node: string, source = appAsJavaScript()) {
    const file = join(project.folder, 'program.mjs')
    writeFileSync(file, source)
    return await run(node, [file], { cwd: project.folder, foreign: true, env: plain })
  }
})

/** Of Markdown, to files: without what is in code, and without their anchors. */
function linksOf(markdown: string): string[] {
  const text = markdown.replace(/```[\s\S]*?```/g, '').replace(/`[^`\n]*`/g, '')
  const links = [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link]) => `${link}`)
  return (
    links
      // Links to tests are for readers of the repository.
      .filter((link) => !/^(https?:|mailto:|#|\.\.\/test\/)/.test(link))
      .map((link) => link.replace(/#.*$/, ''))
  )
}

interface Manifest {
  readonly exports: Readonly<Record<string, string | Readonly<Record<string, string>>>>
}

function manifest(): Manifest {
  return require('../../package.json') as Manifest
}

function folderOf(dependency: string): string {
  return join(repositoryRoot, 'node_modules', dependency)
}
