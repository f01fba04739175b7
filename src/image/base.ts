// The lowest layers: what Node's binary needs of Debian, and that binary. No shell, no package manager, no
// program but node.

import { McbnError } from '../errors.js'
import { unpackDeb } from './deb.js'
import { type ArchiveEntry, decompress, unpackEntries } from './layer.js'
import type { DebianPackage, ImageLock, Platform } from './lock.js'
import { debianArchive, npmTarballs } from './sources.js'
import type { ContentStore } from './store.js'
import { directory, type Entry, file, symlink } from './tree.js'

/** The user of the images; Debian gives out no such number. */
export const USER = { uid: 65_532, gid: 65_532, name: 'mcbn' } as const

export const NODE_PATH = '/usr/bin/node'

/** What is taken of each package, besides its copyright; a library that is not named is not there. */
const LIBRARIES: Readonly<Record<string, RegExp>> = {
  libc6: /\/(ld-linux-[\w-]+\.so\.\d|lib(c|m|dl|pthread|rt|resolv|nss_dns|nss_files)\.so\.\d)$/,
  'libgcc-s1': /\/libgcc_s\.so\.1$/,
  'libstdc++6': /\/libstdc\+\+\.so\.6(\.\d+)*$/,
  'ca-certificates': /^usr\/share\/ca-certificates\/mozilla\/.+\.crt$/,
}

/** Folders that a runtime mounts over, which it could not make where the root is read-only. */
const MOUNT_POINTS = ['dev', 'proc', 'sys', 'run', 'run/container_launcher', 'etc'] as const

export async function baseEntries(
  packages: readonly DebianPackage[],
  mirrors: readonly string[],
  store: ContentStore,
): Promise<Entry[]> {
  const entries: Entry[] = [
    ...MOUNT_POINTS.map((path) => directory(path)),
    directory('tmp', 0o1777),
    file('etc/passwd', `root:x:0:0:root:/:/sbin/nologin\n${passwdLine()}`),
    file('etc/group', `root:x:0:\n${USER.name}:x:${USER.gid}:\n`),
    file('etc/nsswitch.conf', 'hosts: files dns\n'),
    file('etc/os-release', OS_RELEASE),
  ]
  const archives = await Promise.all(packages.map((one) => debianArchive(one, mirrors, store)))
  for (const [at, one] of packages.entries()) {
    const { control, files } = await unpackDeb(
      `${one.name} ${one.version}`,
      archives[at] ?? Buffer.of(),
    )
    // Scanners look here for what is installed where there is no dpkg.
    entries.push(file(`var/lib/dpkg/status.d/${one.name}`, control))
    entries.push(...files.filter((entry) => wanted(one.name, entry)).map(entryOf))
    if (one.name === 'ca-certificates') entries.push(bundleOf(files))
  }
  return entries
}

export async function nodeEntries(
  { node }: ImageLock,
  platform: Platform,
  store: ContentStore,
  folder: string,
): Promise<Entry[]> {
  const one = node[platform]
  const [tarball] = await npmTarballs([one], store, folder)
  const what = `${one.name}@${one.version}`
  const names = ['package/bin/node', 'package/LICENSE']
  const files = await unpackEntries(decompress(tarball ?? Buffer.of()), what, (name) =>
    names.includes(name),
  )
  const take = (path: string): Uint8Array => {
    const found = files.find((entry) => entry.path === `package/${path}`)
    if (found === undefined) throw new McbnError('MCBN_IMAGE_INVALID', `${what}: expected ${path}`)
    return found.body
  }
  return [
    file(NODE_PATH.slice(1), take('bin/node'), true),
    file('usr/share/doc/node/LICENSE', take('LICENSE')),
  ]
}

function wanted(name: string, { path, type }: ArchiveEntry): boolean {
  if (type !== 'file' && type !== 'symlink') return false
  if (path === `usr/share/doc/${name}/copyright`) return type === 'file'
  // Packages of one source share it.
  if (path === `usr/share/doc/${name}`) return type === 'symlink'
  // The certificates are taken as one bundle.
  return name !== 'ca-certificates' && (LIBRARIES[name]?.test(`/${path}`) ?? false)
}

function entryOf({ path, type, mode, target, body }: ArchiveEntry): Entry {
  return type === 'symlink' ? symlink(path, target) : file(path, body, (mode & 0o100) !== 0)
}

/** As Debian's update-ca-certificates makes it, in an order that no locale decides. */
function bundleOf(files: readonly ArchiveEntry[]): Entry {
  const certificates = files
    .filter(({ path }) => LIBRARIES['ca-certificates']?.test(path))
    .sort((left, right) => (left.path < right.path ? -1 : 1))
    .map(({ body }) => `${Buffer.from(body).toString('latin1').trimEnd()}\n`)
  if (certificates.length === 0) {
    throw new McbnError('MCBN_IMAGE_INVALID', 'ca-certificates: expected certificates in it')
  }
  return file('etc/ssl/certs/ca-certificates.crt', certificates.join(''))
}

function passwdLine(): string {
  return `${USER.name}:x:${USER.uid}:${USER.gid}:mcbn:/tmp:/sbin/nologin\n`
}

/** For scanners, which look up what is known about this release's libraries. */
const OS_RELEASE = `PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
NAME="Debian GNU/Linux"
VERSION_ID="12"
VERSION="12 (bookworm)"
VERSION_CODENAME=bookworm
ID=debian
`
