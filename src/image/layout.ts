// An OCI image layout: a folder, or a tar of one, that skopeo, umoci, podman and registries' tools read.
// https://github.com/opencontainers/image-spec/blob/main/image-layout.md

import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { canonicalBytes } from '../consent/base/canonical.js'
import { McbnError } from '../errors.js'
import { type BuiltImage, descriptorOf } from './build.js'
import { type ImageConfig, MEDIA_TYPE } from './config.js'
import { packEntries, sha256, unpackEntries } from './layer.js'
import { completed, file } from './tree.js'

/** The files of a layout, by their path in it. */
export function layoutFiles(image: BuiltImage): ReadonlyMap<string, Uint8Array> {
  const { manifest, config, layers, role } = image
  const index = {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.index,
    manifests: [
      {
        ...descriptorOf(manifest),
        annotations: { 'org.opencontainers.image.ref.name': role },
        platform: { architecture: config.value.architecture, os: config.value.os },
      },
    ],
  }
  const blobs = [manifest, config, ...layers.map(({ digest, blob: bytes }) => ({ digest, bytes }))]
  return new Map<string, Uint8Array>([
    ['oci-layout', canonicalBytes({ imageLayoutVersion: '1.0.0' })],
    ['index.json', canonicalBytes(index)],
    ...blobs.map(({ digest, bytes }) => [blobPath(digest), bytes] as const),
  ])
}

/** @throws {McbnError} `MCBN_IMAGE_INVALID` if the folder is there and not empty. */
export async function writeLayout(image: BuiltImage, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  if ((await readdir(folder)).length > 0) throw bad(folder, 'a new or an empty folder')
  for (const [path, bytes] of layoutFiles(image)) {
    await mkdir(join(folder, dirname(path)), { recursive: true })
    await writeFile(join(folder, path), bytes)
  }
}

/** The same as one tar, which `podman load` and `skopeo copy oci-archive:` take. */
export async function writeArchive(image: BuiltImage, path: string): Promise<void> {
  const files = [...layoutFiles(image)].map(([name, bytes]) => file(name, bytes))
  await writeFile(path, await packEntries(completed(files), image.created), { flag: 'wx' })
}

/** An image as it was found, each blob checked against its digest. */
export interface FoundImage {
  readonly digest: string
  readonly config: ImageConfig
  readonly layers: readonly { readonly digest: string; readonly blob: Uint8Array }[]
}

interface Descriptor {
  readonly mediaType?: string
  readonly digest: string
  readonly size: number
}

/**
 * Reads a layout, a folder or a tar.
 *
 * @param digest - which of several images it is.
 * @throws {McbnError} `MCBN_IMAGE_INVALID` when something is missing or is not what its digest says;
 * `MCBN_OPTION_RANGE` for a digest that is not one, where a layout is expected.
 */
export async function readLayout(path: string, digest?: string): Promise<FoundImage> {
  const read = await readerOf(path)
  const blob = async ({ digest: expected, size }: Descriptor): Promise<Uint8Array> => {
    if (!/^sha256:[0-9a-f]{64}$/.test(expected)) throw bad(path, `sha256 digests, not ${expected}`)
    const bytes = await read(blobPath(expected))
    if (bytes.length !== size || `sha256:${sha256(bytes)}` !== expected) {
      throw bad(path, `blob ${expected} to be what its name says`)
    }
    return bytes
  }
  const { manifests = [] } = parsed<{ manifests?: Descriptor[] }>(path, await read('index.json'))
  const images = manifests.filter(
    (one) =>
      one.mediaType === MEDIA_TYPE.manifest && (digest === undefined || one.digest === digest),
  )
  const [only] = images
  if (only === undefined || images.length > 1) {
    throw bad(
      path,
      `exactly one image${digest === undefined ? '' : ` ${digest}`}, not ${images.length}`,
    )
  }
  const manifest = parsed<{ config: Descriptor; layers: Descriptor[] }>(path, await blob(only))
  return {
    digest: only.digest,
    config: parsed<ImageConfig>(path, await blob(manifest.config)),
    layers: await Promise.all(
      manifest.layers.map(async (one) => ({ digest: one.digest, blob: await blob(one) })),
    ),
  }
}

/** The same view of an image that was just built. */
export function foundOf({ digest, config, layers }: BuiltImage): FoundImage {
  return { digest, config: config.value, layers }
}

async function readerOf(path: string): Promise<(name: string) => Promise<Uint8Array>> {
  const missing = (name: string): never => {
    throw bad(path, `an OCI image layout with ${name}`)
  }
  const found = await stat(path).catch((cause: unknown) => {
    throw unreadable(path, cause)
  })
  if (found.isDirectory()) {
    return async (name) => await readFile(join(path, name)).catch(() => missing(name))
  }
  const entries = await unpackEntries(await readFile(path), path)
  const byPath = new Map(entries.map((entry) => [entry.path, entry.body]))
  return async (name) => byPath.get(name) ?? missing(name)
}

function parsed<Shape>(path: string, bytes: Uint8Array): Shape {
  try {
    return JSON.parse(Buffer.from(bytes).toString('utf8')) as Shape
  } catch {
    throw bad(path, 'JSON where the layout has it')
  }
}

function blobPath(digest: string): string {
  return `blobs/${digest.replace(':', '/')}`
}

function unreadable(path: string, cause: unknown): McbnError {
  const what = 'an OCI image layout, a folder or a tar'
  if (path.startsWith('sha256:')) {
    const expected = `${what}, or a digest: sha256: and 64 lower-case hex digits`
    return new McbnError('MCBN_OPTION_RANGE', `${path}: expected ${expected}`)
  }
  const { code } = cause as NodeJS.ErrnoException
  const got = code === 'ENOENT' ? 'no such file or folder' : `one that cannot be read: ${code}`
  return new McbnError('MCBN_IMAGE_INVALID', `${path}: expected ${what}, got ${got}`, { cause })
}

function bad(path: string, expected: string): McbnError {
  return new McbnError('MCBN_IMAGE_INVALID', `${path}: expected ${expected}`)
}
