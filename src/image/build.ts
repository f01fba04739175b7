// An image from what is locked: the same bytes on every machine, day, path, user and umask.

import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { canonicalBytes } from '../consent/base/canonical.js'
import { McbnError } from '../errors.js'
import { type App, appEntries, appPackageEntries, readApp } from './app.js'
import { baseEntries, nodeEntries } from './base.js'
import { type ImageConfig, type ImageRole, imageConfig, MEDIA_TYPE } from './config.js'
import { type Layer, packLayer, sha256 } from './layer.js'
import { type ImageLock, type Platform, readImageLock } from './lock.js'
import { type Addon, addonFor, ownEntries, PACKAGE_ROOT } from './own.js'
import { debianMirrors } from './sources.js'
import { ContentStore, type ContentStoreOptions } from './store.js'
import type { Entry } from './tree.js'

export interface BuildImageOptions extends ContentStoreOptions {
  readonly role: ImageRole
  /** @defaultValue 'linux/amd64', on any machine */
  readonly platform?: Platform
  /** Folder of a program that uses mcbn; without it the image runs mcbn's own command for the role. */
  readonly app?: string
  /** The compiled addon. @defaultValue the prebuilt one of this package, else what was compiled here */
  readonly addon?: string
  /** Seconds since 1970: every time in the image. @defaultValue what image.lock says */
  readonly created?: number
  /** Roots of Debian's mirrors. @defaultValue those of apt on this machine, then Debian's own */
  readonly debianMirrors?: readonly string[]
  /** Told what is made next, a layer at a time. */
  readonly onStep?: (what: string) => void
}

export interface Blob {
  readonly mediaType: string
  readonly digest: string
  readonly bytes: Uint8Array
}

export interface BuiltImage {
  /** `sha256:` and 64 hex digits, of the manifest: what participants agree on. */
  readonly digest: string
  readonly role: ImageRole
  readonly platform: Platform
  readonly created: number
  readonly manifest: Blob
  readonly config: Blob & { readonly value: ImageConfig }
  readonly layers: readonly Layer[]
  /** What the image was made of, for its bill of materials and its provenance. */
  readonly materials: {
    readonly version: string
    readonly lock: ImageLock
    readonly app: App | undefined
    /** Absent where the program brings an mcbn with its own addon. */
    readonly addon: Addon | undefined
  }
}

/**
 * @throws {McbnError} `MCBN_IMAGE_INVALID` for a program, a lock or a package that is not as it should be;
 * `MCBN_IMAGE_SOURCE_UNAVAILABLE` for what could not be got.
 */
export async function buildImage(options: BuildImageOptions): Promise<BuiltImage> {
  const { role, platform = 'linux/amd64' } = options
  const store = new ContentStore(options)
  const lock = await readImageLock(PACKAGE_ROOT)
  const created = createdOf(options.created ?? lock.created)
  const app = options.app === undefined ? undefined : await readApp(options.app, platform)
  const addon = app?.bringsMcbn === true ? undefined : await addonFor(platform, options.addon)
  const version = await ownVersion()
  const layers: Layer[] = []
  const add = async (title: string, entriesOf: () => Promise<readonly Entry[]>) => {
    options.onStep?.(title)
    const entries = await entriesOf()
    if (entries.length > 0) layers.push(await packLayer(title, entries, created, store))
  }
  layers.push(...(await foundation(lock, platform, created, store, options)))
  if (addon !== undefined) {
    await add(`mcbn ${version}`, () => ownEntries(addon, lock, platform, store))
  }
  if (app !== undefined) {
    await add(`packages of ${app.name}`, () => appPackageEntries(app, store))
    await add(`${app.name} ${app.version}`, () => appEntries(app))
  }
  const value = imageConfig({ role, platform, app, version, created, layers })
  const config = { ...jsonBlob(MEDIA_TYPE.config, value), value }
  const manifest = jsonBlob(MEDIA_TYPE.manifest, {
    schemaVersion: 2,
    mediaType: MEDIA_TYPE.manifest,
    config: descriptorOf(config),
    layers: layers.map(({ blob, digest }) =>
      descriptorOf({ mediaType: MEDIA_TYPE.layer, digest, bytes: blob }),
    ),
  })
  return {
    digest: manifest.digest,
    role,
    platform,
    created,
    manifest,
    config,
    layers,
    materials: { version, lock, app, addon },
  }
}

/** By what they are made of: all images of a process have these in common, and they are the bulk. */
const foundations = new Map<string, readonly Layer[]>()

async function foundation(
  lock: ImageLock,
  platform: Platform,
  created: number,
  store: ContentStore,
  { debianMirrors: given, onStep }: BuildImageOptions,
): Promise<readonly Layer[]> {
  const debian = lock.debian[platform]
  const node = lock.node[platform]
  const key = JSON.stringify([debian, node, created])
  const known = foundations.get(key)
  if (known !== undefined) return known
  const libraries = 'libraries of Debian'
  onStep?.(libraries)
  const base = await baseEntries(debian, await debianMirrors(given), store)
  const layers = [await packLayer(libraries, base, created, store)]
  const runtime = `Node.js ${node.version}`
  onStep?.(runtime)
  const entries = await nodeEntries(lock, platform, store, PACKAGE_ROOT)
  layers.push(await packLayer(runtime, entries, created, store))
  foundations.set(key, layers)
  return layers
}

/** Canonical JSON (RFC 8785): one value has one digest. */
export function jsonBlob(mediaType: string, value: object): Blob {
  const bytes = canonicalBytes(value)
  return { mediaType, digest: `sha256:${sha256(bytes)}`, bytes }
}

export function descriptorOf({ mediaType, digest, bytes }: Blob) {
  return { mediaType, digest, size: bytes.length }
}

function createdOf(created: number): number {
  // Tar has eleven octal digits for a time.
  if (Number.isSafeInteger(created) && created >= 0 && created < 8 ** 11) return created
  throw new McbnError('MCBN_OPTION_RANGE', `created: expected seconds since 1970, got ${created}`)
}

async function ownVersion(): Promise<string> {
  const manifest = await readFile(join(PACKAGE_ROOT, 'package.json'), 'utf8')
  return (JSON.parse(manifest) as { readonly version: string }).version
}
