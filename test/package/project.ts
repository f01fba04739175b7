// A user's project with mcbn in it, made as a user makes it: `npm pack`, `npm install`. No network is needed.

import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { buildSync } from 'esbuild'
import { expect, inject } from 'vitest'
import { repositoryRoot } from '../support/paths.js'
import { run } from '../support/process.js'
import { waitFor } from '../support/wait.js'

export const tuple = `${process.platform}-${process.arch}`

/** Paths of node: of each release to try (MCBN_TEST_NODES, separated by commas), else of the one that runs the tests. */
export const NODES = process.env['MCBN_TEST_NODES']?.split(',') ?? [process.execPath]

/** Nothing may lead the installed package to this repository's binaries, or to a tester's own. */
export const plain = { MCBN_ADDON: undefined }

/** What npm is told to publish, and what it publishes unasked. */
export const PUBLISHED = [
  'binding.gyp',
  'CHANGELOG.md',
  'CONTRIBUTING.md',
  'dist',
  'docs',
  'examples',
  'image.lock',
  'LICENSE',
  'native',
  'package.json',
  'README.md',
  'scripts',
  'src',
] as const

export interface Project {
  readonly folder: string
  /** Where mcbn is installed, and the file of its addon. */
  readonly mcbn: string
  readonly addon: string
  /** Of mcbn, as `npm pack` made it. */
  readonly tarball: string
  [Symbol.dispose](): void
}

/** What app/main.ts prints when all went well. */
export const OVER_BOTH = {
  derived: 32,
  before: false,
  tls: 'TLSv1.3 over TLS',
  dtls: 'DTLSv1.2 over DTLS',
  after: true,
} as const

/** app/main.ts as a module of JavaScript; its imports stay. */
export function appAsJavaScript(): string {
  const entry = join(repositoryRoot, 'test', 'package', 'app', 'main.ts')
  const { outputFiles } = buildSync({ entryPoints: [entry], write: false, format: 'esm' })
  return `${outputFiles[0]?.text}`
}

/**
 * A project with mcbn, with the binary of this platform, and everything that it depends on: a copy of the one that
 * npm installs for all files of this run.
 */
export async function installed(): Promise<Project> {
  const workshop = mkdtempSync(join(tmpdir(), 'mcbn-package-'))
  const made = await installedOnce(inject('package'))
  await copy(join(made, 'project'), join(workshop, 'project'))
  const folder = join(workshop, 'project')
  const mcbn = join(folder, 'node_modules', 'mcbn')
  const [addon] = readdirSync(join(mcbn, 'prebuilds', tuple))
  return {
    folder,
    mcbn,
    addon: join(mcbn, 'prebuilds', tuple, `${addon}`),
    tarball: join(made, 'mcbn.tgz'),
    [Symbol.dispose]: () => rmSync(workshop, { recursive: true, force: true }),
  }
}

/** The first file that asks makes it; what others would make beside it is the same. @returns its folder. */
async function installedOnce(shared: string): Promise<string> {
  const made = join(shared, 'made')
  const draft = join(shared, 'draft')
  try {
    // It stays: of a finished draft nothing is left that would stop a later file.
    mkdirSync(join(shared, 'begun'))
    mkdirSync(draft)
  } catch {
    const failed = () => existsSync(join(draft, 'failed'))
    await waitFor('the project of another file', () => existsSync(made) || failed(), 220_000)
    if (failed()) throw new Error('npm could not install the package: another file says why')
    return made
  }
  try {
    await install(draft)
    renameSync(draft, made)
  } catch (error) {
    writeFileSync(join(draft, 'failed'), '')
    throw error
  }
  return made
}

/** `project/`, and `mcbn.tgz`, which is installed in it. */
async function install(workshop: string): Promise<void> {
  const folder = join(workshop, 'project')
  mkdirSync(folder)
  writeFileSync(
    join(folder, 'package.json'),
    '{ "name": "user", "private": true, "type": "module" }',
  )
  const tarball = await pack(stage(join(workshop, 'mcbn')), workshop)
  // Given as files, the dependencies are what was installed here: a registry is not asked.
  const dependencies = await Promise.all(
    (await runtimeDependencies()).map((from, index) => archive(from, workshop, index)),
  )
  await npm(folder, 'install', '--offline', '--no-audit', '--no-fund', tarball, ...dependencies)
  renameSync(tarball, join(workshop, 'mcbn.tgz'))
}

async function copy(from: string, to: string): Promise<void> {
  const child = await run('cp', ['-R', from, to], { foreign: true })
  expect(child.exit.code, child.report()).toBe(0)
}

/** The tree as it is published, with the binary that was compiled here. dist/ is current in every test. */
export function stage(folder: string): string {
  mkdirSync(folder)
  for (const name of PUBLISHED) {
    cpSync(join(repositoryRoot, name), join(folder, name), { recursive: true })
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

export async function pack(folder: string, destination: string): Promise<string> {
  const child = await npm(folder, 'pack', '--ignore-scripts', '--pack-destination', destination)
  return join(destination, `${child.stdout.trim().split('\n').at(-1)}`)
}

export async function npm(folder: string, ...args: readonly string[]) {
  // Empty at first: what this machine has fetched before must not help.
  const env = { ...plain, npm_config_cache: mkdtempSync(join(tmpdir(), 'mcbn-npm-')) }
  const child = await run('npm', args, { cwd: folder, foreign: true, lifetime: 220_000, env })
  rmSync(env.npm_config_cache, { recursive: true, force: true })
  expect(child.exit.code, child.report()).toBe(0)
  return child
}

/** Folders of everything that comes along with mcbn, the dependencies' own dependencies included. */
async function runtimeDependencies(): Promise<string[]> {
  const child = await npm(repositoryRoot, 'ls', '--omit=dev', '--all', '--parseable')
  const [, ...folders] = child.stdout.trim().split('\n')
  return folders.filter((folder) => existsSync(join(folder, 'package.json')))
}

/** As `npm pack` would, in a fraction of its time. */
async function archive(from: string, destination: string, index: number): Promise<string> {
  const file = join(destination, `${index}-${basename(from)}.tgz`)
  const args = ['-czf', file, '--exclude=./node_modules', '--transform=s,^\\.,package,', '-C', from]
  const child = await run('tar', [...args, '.'], { foreign: true })
  expect(child.exit.code, child.report()).toBe(0)
  return file
}
