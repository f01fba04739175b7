// Packages of npm as a lock file has them, where npm would put them. None of their scripts run.

import { McbnError } from '../errors.js'
import { decompress, unpackEntries } from './layer.js'
import { ARCHITECTURE, type NpmPackage, type Platform } from './lock.js'
import { npmTarballs } from './sources.js'
import type { ContentStore } from './store.js'
import { type Entry, file } from './tree.js'

/** What of a package-lock.json counts here. */
export interface LockedPackage {
  readonly name?: string
  readonly version?: string
  readonly resolved?: string
  readonly integrity?: string
  readonly link?: boolean
  readonly dev?: boolean
  readonly optional?: boolean
  readonly inBundle?: boolean
  readonly extraneous?: boolean
  readonly os?: readonly string[]
  readonly cpu?: readonly string[]
  readonly libc?: readonly string[]
}

/** A package, and its folder below the one that has node_modules. */
export interface PlacedPackage extends NpmPackage {
  readonly folder: string
  /** A tarball beside the lock file, instead of the registry's. */
  readonly file?: string
}

/**
 * What runs in production on a platform.
 *
 * @param packages - the field of that name of a package-lock.json of version 2 or 3.
 * @throws {McbnError} `MCBN_IMAGE_INVALID` for what has no integrity: links, repositories.
 */
export function productionPackages(
  packages: Readonly<Record<string, LockedPackage>>,
  platform: Platform,
): PlacedPackage[] {
  const placed: PlacedPackage[] = []
  for (const [folder, one] of Object.entries(packages)) {
    if (!folder.startsWith('node_modules/')) continue
    if (one.dev === true || one.inBundle === true || one.extraneous === true) continue
    if (!fits(one, platform)) continue
    const name = one.name ?? folder.slice(folder.lastIndexOf('node_modules/') + 13)
    const { version, integrity, resolved = '' } = one
    if (one.link === true || version === undefined || integrity === undefined) {
      const what = one.link === true ? `a link to ${resolved}` : 'no integrity'
      throw new McbnError(
        'MCBN_IMAGE_INVALID',
        `package-lock.json: ${folder} has ${what}; expected a released package, or a tarball made by npm pack`,
      )
    }
    placed.push({
      folder,
      name,
      version,
      integrity,
      ...(resolved.startsWith('file:') && { file: resolved.slice(5) }),
    })
  }
  return placed
}

/** What npm's `os`, `cpu` and `libc` say; `!name` excludes. */
function fits({ os, cpu, libc }: LockedPackage, platform: Platform): boolean {
  const allows = (list: readonly string[] | undefined, own: string): boolean => {
    if (list === undefined || list.length === 0) return true
    if (list.includes(`!${own}`)) return false
    return list.includes(own) || list.every((name) => name.startsWith('!')) || list.includes('any')
  }
  return allows(os, 'linux') && allows(cpu, ARCHITECTURE[platform].node) && allows(libc, 'glibc')
}

/**
 * The files of packages.
 *
 * @param below - path in the image of the folder that has node_modules.
 * @param source - folder of the lock file.
 * @param tarballOf - the bytes of a tarball beside the lock file.
 */
export async function packageEntries(
  packages: readonly PlacedPackage[],
  below: string,
  source: { readonly folder: string; readonly store: ContentStore },
  tarballOf: (one: PlacedPackage) => Promise<Uint8Array>,
): Promise<Entry[]> {
  const released = packages.filter((one) => one.file === undefined)
  const tarballs = await npmTarballs(released, source.store, source.folder)
  const entries: Entry[] = []
  for (const one of packages) {
    const at = released.indexOf(one)
    const tarball = at < 0 ? await tarballOf(one) : tarballs[at]
    entries.push(...(await filesOf(one, tarball ?? Buffer.of(), `${below}/${one.folder}`)))
  }
  return entries
}

async function filesOf(one: NpmPackage, tarball: Uint8Array, into: string): Promise<Entry[]> {
  const files = await unpackEntries(decompress(tarball), `${one.name}@${one.version}`)
  // npm takes plain files only, and drops the first folder, whatever its name is. The last of a name counts.
  const byPath = new Map<string, Entry>()
  for (const { path, type, mode, body } of files) {
    const below = path.slice(path.indexOf('/') + 1)
    if (type !== 'file' || !path.includes('/')) continue
    byPath.set(below, file(`${into}/${below}`, body, (mode & 0o111) !== 0))
  }
  return [...byPath.values()]
}
