// The package mcbn as it goes into an image: what is compiled, the addon for the image's platform, and what both need.

import { createHash } from 'node:crypto'
import { existsSync } from 'node:fs'
import { readdir, readFile } from 'node:fs/promises'
import { join, relative, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { McbnError } from '../errors.js'
import { compiledSource } from './checkout.js'
import { readIfThere } from './layer.js'
import { ARCHITECTURE, type ImageLock, type Platform } from './lock.js'
import { packageEntries } from './packages.js'
import type { ContentStore } from './store.js'
import { type Entry, file } from './tree.js'

/** The package that this module is in. */
export const PACKAGE_ROOT = resolve(fileURLToPath(new URL('../../', import.meta.url)))

/** Where the package lies in an image. */
export const MCBN_FOLDER = 'app/node_modules/mcbn'

/** What of the package has to go with the code. */
const FILES = ['LICENSE', 'image.lock', 'docs/policy.schema.json'] as const

/** Of package.json what counts when the package runs. A release adds its repository, a checkout has its tools. */
const MANIFEST_FIELDS = [
  'name',
  'version',
  'license',
  'type',
  'engines',
  'bin',
  'exports',
  'dependencies',
] as const

type Manifest = { readonly files: readonly string[] } & Readonly<Record<string, unknown>>

/** The addon in an image, and where it came from. */
export interface Addon {
  readonly path: string
  readonly sha256: string
  readonly body: Uint8Array
}

export async function ownEntries(
  addon: Addon,
  lock: ImageLock,
  platform: Platform,
  store: ContentStore,
): Promise<Entry[]> {
  const manifest = JSON.parse(
    await readFile(join(PACKAGE_ROOT, 'package.json'), 'utf8'),
  ) as Manifest
  const fields = MANIFEST_FIELDS.map((name) => [name, manifest[name]])
  const entries: Entry[] = [
    file(`${MCBN_FOLDER}/package.json`, `${JSON.stringify(Object.fromEntries(fields), null, 2)}\n`),
  ]
  for (const name of FILES) {
    const body = await readIfThere(PACKAGE_ROOT, name)
    if (body !== undefined) entries.push(file(`${MCBN_FOLDER}/${name}`, body))
  }
  const dist = existsSync(join(PACKAGE_ROOT, 'tsconfig.json'))
    ? await compiledSource(PACKAGE_ROOT)
    : join(PACKAGE_ROOT, 'dist')
  // What npm leaves out of the package: a checkout and the package make one image.
  const leftOut = manifest.files.flatMap(
    (pattern) => pattern.match(/^!dist\/(.+)$/)?.slice(1) ?? [],
  )
  for (const name of await filesBelow(dist)) {
    // Types and maps are for programmers.
    if (/\.(d\.ts|map|tsbuildinfo)$/.test(name)) continue
    if (leftOut.some((folder) => name.startsWith(`${folder}/`))) continue
    entries.push(file(`${MCBN_FOLDER}/dist/${name}`, await readFile(join(dist, name))))
  }
  const { node } = ARCHITECTURE[platform]
  entries.push(file(`${MCBN_FOLDER}/prebuilds/linux-${node}/mcbn.glibc.node`, addon.body))
  const packages = Object.entries(lock.packages).map(([folder, one]) => ({ ...one, folder }))
  const source = { folder: PACKAGE_ROOT, store }
  entries.push(
    ...(await packageEntries(packages, MCBN_FOLDER, source, async ({ name }) => {
      throw new McbnError('MCBN_IMAGE_INVALID', `image.lock: ${name} is not from a registry`)
    })),
  )
  return entries
}

/**
 * The compiled addon for a platform: the one given, a prebuilt one, or what was compiled here.
 *
 * @throws {McbnError} `MCBN_IMAGE_SOURCE_UNAVAILABLE` when there is no source.
 */
export async function addonFor(platform: Platform, given: string | undefined): Promise<Addon> {
  const { node } = ARCHITECTURE[platform]
  const candidates = given === undefined ? await candidatesFor(node) : [resolve(given)]
  for (const path of candidates) {
    const body = await readIfThere('', path)
    if (body === undefined) continue
    if (!isFor(platform, body)) {
      throw new McbnError(
        'MCBN_IMAGE_INVALID',
        `${path}: expected an addon for ${platform} with glibc`,
      )
    }
    return { path, body, sha256: createHash('sha256').update(body).digest('hex') }
  }
  throw new McbnError(
    'MCBN_IMAGE_SOURCE_UNAVAILABLE',
    `no compiled addon for ${platform} in ${candidates.join(', ')}: ` +
      'use a package with prebuilds, or name a file with --addon',
  )
}

async function candidatesFor(node: string): Promise<string[]> {
  const folder = join(PACKAGE_ROOT, 'prebuilds', `linux-${node}`)
  const names = existsSync(folder) ? (await readdir(folder)).sort() : []
  const prebuilt = names.filter((name) => name.endsWith('.node') && !/musl/.test(name))
  const here = process.platform === 'linux' && process.arch === node
  return [
    ...prebuilt.map((name) => join(folder, name)),
    ...(here ? [join(PACKAGE_ROOT, 'build', 'Release', 'mcbn.node')] : [folder]),
  ]
}

/** ELF, 64 bits, little-endian, of the right machine (System V ABI, e_machine). */
function isFor(platform: Platform, body: Buffer): boolean {
  const machine = platform === 'linux/amd64' ? 62 : 183
  return (
    body.length > 20 && body.readUInt32BE(0) === 0x7f454c46 && body.readUInt16LE(18) === machine
  )
}

/** Names relative to a folder, with `/`, in no order. */
export async function filesBelow(folder: string): Promise<string[]> {
  const found = await readdir(folder, { recursive: true, withFileTypes: true })
  return found
    .filter((one) => one.isFile())
    .map((one) => relative(folder, join(one.parentPath ?? one.path, one.name)))
    .map((name) => name.replaceAll('\\', '/'))
}
