// A program that uses mcbn, as it goes into an image: the files that npm would publish, the packages of its lock file,
// and what its package.json says about the image under `mcbn.image`.

import { execFile } from 'node:child_process'
import { createHash } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join, resolve } from 'node:path'
import { promisify } from 'node:util'
import { McbnError } from '../errors.js'
import { readIfThere } from './layer.js'
import { type Platform, sha512Of } from './lock.js'
import {
  type LockedPackage,
  type PlacedPackage,
  packageEntries,
  productionPackages,
} from './packages.js'
import type { ContentStore } from './store.js'
import { type Entry, file } from './tree.js'

const run = promisify(execFile)
const NPM_MS = 60_000

/** `mcbn.image` in the package.json of a program. */
export interface AppSettings {
  /** Ports that are opened, e.g. `8081/tcp`. */
  readonly expose: readonly string[]
  /** The image's environment; participants' policies have to allow it. */
  readonly env: Readonly<Record<string, string>>
  /** Names that the operator may set. @defaultValue ['MCBN_DESCRIPTOR_HASH'] */
  readonly allowEnvOverride: readonly string[]
  /** Arguments of the program. */
  readonly args: readonly string[]
  /** Options of Node.js, before the program. */
  readonly nodeArgs: readonly string[]
}

export interface App {
  readonly folder: string
  readonly name: string
  readonly version: string
  /** The program, below the folder. */
  readonly main: string
  readonly settings: AppSettings
  readonly packages: readonly PlacedPackage[]
  /** Whether the lock file has a released mcbn, which then goes into the image. */
  readonly bringsMcbn: boolean
}

interface AppManifest {
  readonly name?: unknown
  readonly version?: unknown
  readonly main?: unknown
  readonly dependencies?: Readonly<Record<string, string>>
  readonly mcbn?: { readonly image?: Readonly<Record<string, unknown>> }
}

/** @throws {McbnError} `MCBN_IMAGE_INVALID`, naming the file and the field. */
export async function readApp(dir: string, platform: Platform): Promise<App> {
  const folder = resolve(dir)
  const manifest = await readJson<AppManifest>(folder, 'package.json')
  const { name, version, main = 'index.js' } = manifest
  for (const [field, value] of Object.entries({ name, version, main })) {
    if (typeof value !== 'string' || value === '') {
      throw bad(folder, `package.json: ${field}: expected a string`)
    }
  }
  const packages = await lockedPackages(folder, manifest, platform)
  return {
    folder,
    name: `${name}`,
    version: `${version}`,
    main: `${main}`.replace(/^\.\//, ''),
    settings: settingsOf(folder, manifest.mcbn?.image ?? {}),
    packages,
    bringsMcbn: packages.some((one) => one.folder === 'node_modules/mcbn'),
  }
}

/** The files that npm would publish. */
export async function appEntries(app: App): Promise<Entry[]> {
  const paths = await publishedFiles(app.folder)
  if (!paths.includes(app.main)) {
    throw bad(app.folder, `main: expected a file that npm would publish, got ${app.main}`)
  }
  return await Promise.all(
    // Started as an argument of node; a checkout's permissions depend on the system it is on.
    paths.map(async (path) => file(`app/${path}`, await readFile(join(app.folder, path)))),
  )
}

export async function appPackageEntries(app: App, store: ContentStore): Promise<Entry[]> {
  return await packageEntries(app.packages, 'app', { folder: app.folder, store }, async (one) => {
    const path = resolve(app.folder, one.file ?? '')
    const bytes = await readIfThere('', path)
    if (bytes === undefined) throw bad(app.folder, `package-lock.json: ${path} is not there`)
    if (createHash('sha512').update(bytes).digest('hex') === sha512Of(one)) return bytes
    throw bad(app.folder, `package-lock.json: ${path} does not have the integrity of the lock file`)
  })
}

async function lockedPackages(
  folder: string,
  { dependencies = {} }: AppManifest,
  platform: Platform,
): Promise<PlacedPackage[]> {
  const names = Object.keys(dependencies).filter((name) => name !== 'mcbn')
  const there = await readIfThere(folder, 'package-lock.json')
  if (there === undefined) {
    if (names.length === 0) return []
    throw bad(folder, `package-lock.json: expected one, for ${names.join(', ')}`)
  }
  const { packages } = await readJson<{ readonly packages?: Record<string, LockedPackage> }>(
    folder,
    'package-lock.json',
  )
  if (packages === undefined) {
    throw bad(folder, 'package-lock.json: expected lockfileVersion 2 or 3')
  }
  const missing = names.find((name) => packages[`node_modules/${name}`] === undefined)
  if (missing !== undefined) throw bad(folder, `package-lock.json: ${missing} is missing in it`)
  // A link to mcbn is the mcbn that builds.
  const { 'node_modules/mcbn': own, ...others } = packages
  return productionPackages(own === undefined || own.link === true ? others : packages, platform)
}

async function publishedFiles(folder: string): Promise<string[]> {
  try {
    const args = ['pack', '--dry-run', '--json', '--ignore-scripts']
    const { stdout } = await run('npm', args, { cwd: folder, timeout: NPM_MS, maxBuffer: 64e6 })
    const [packed] = JSON.parse(stdout) as readonly {
      readonly files: { readonly path: string }[]
    }[]
    return packed?.files.map(({ path }) => path) ?? []
  } catch (cause) {
    throw new McbnError('MCBN_IMAGE_INVALID', `${folder}: npm pack could not list its files`, {
      cause,
    })
  }
}

function settingsOf(folder: string, given: Readonly<Record<string, unknown>>): AppSettings {
  const known = ['expose', 'env', 'allowEnvOverride', 'args', 'nodeArgs']
  const unknown = Object.keys(given).find((name) => !known.includes(name))
  if (unknown !== undefined) {
    throw bad(folder, `mcbn.image: expected ${known.join(', ')}, got "${unknown}"`)
  }
  const list = (name: string, pattern: RegExp, byDefault: readonly string[] = []): string[] => {
    const value = given[name] ?? byDefault
    if (
      !Array.isArray(value) ||
      !value.every((one) => typeof one === 'string' && pattern.test(one))
    ) {
      throw bad(folder, `mcbn.image.${name}: expected a list of strings like ${pattern.source}`)
    }
    return value as string[]
  }
  return {
    expose: list('expose', /^[1-9]\d{0,4}\/(tcp|udp)$/),
    allowEnvOverride: list('allowEnvOverride', /^[A-Za-z_]\w*$/, ['MCBN_DESCRIPTOR_HASH']),
    args: list('args', /^[^\0]*$/),
    nodeArgs: list('nodeArgs', /^-[^\0]*$/),
    env: environment(folder, given['env'] ?? {}),
  }
}

function environment(folder: string, value: unknown): Record<string, string> {
  const fine =
    typeof value === 'object' &&
    value !== null &&
    Object.entries(value).every(
      ([name, text]) => /^[A-Za-z_]\w*$/.test(name) && typeof text === 'string',
    )
  if (!fine) throw bad(folder, 'mcbn.image.env: expected an object of names and strings')
  return { ...(value as Record<string, string>) }
}

async function readJson<Shape>(folder: string, name: string): Promise<Shape> {
  try {
    return JSON.parse(await readFile(join(folder, name), 'utf8')) as Shape
  } catch (cause) {
    throw new McbnError('MCBN_IMAGE_INVALID', `${folder}: expected ${name} in it, as JSON`, {
      cause,
    })
  }
}

function bad(folder: string, message: string): McbnError {
  return new McbnError('MCBN_IMAGE_INVALID', `${folder}: ${message}`)
}
