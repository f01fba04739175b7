// What a layer holds: files, folders and links by their path, without anything that a machine, a day or a
// user could put into it. Owner is always root; times come when the layer is packed.

import { McbnError } from '../errors.js'

export interface FileEntry {
  readonly type: 'file'
  /** Relative to the root, with `/` between names. */
  readonly path: string
  readonly mode: number
  readonly body: Uint8Array
}

export interface DirectoryEntry {
  readonly type: 'directory'
  readonly path: string
  readonly mode: number
}

export interface SymlinkEntry {
  readonly type: 'symlink'
  readonly path: string
  readonly mode: number
  readonly target: string
}

export type Entry = FileEntry | DirectoryEntry | SymlinkEntry

export const MODE = { file: 0o644, program: 0o755, directory: 0o755, symlink: 0o777 } as const

/** A file; `program` if it may be executed. Other bits of a mode depend on a umask and are not kept. */
export function file(path: string, body: Uint8Array | string, program = false): FileEntry {
  return {
    type: 'file',
    path,
    mode: program ? MODE.program : MODE.file,
    body: typeof body === 'string' ? Buffer.from(body) : body,
  }
}

export function directory(path: string, mode: number = MODE.directory): DirectoryEntry {
  return { type: 'directory', path, mode }
}

export function symlink(path: string, target: string): SymlinkEntry {
  return { type: 'symlink', path, target, mode: MODE.symlink }
}

/**
 * The entries in the order in which they are packed, bytewise by path, with every folder that they lie in.
 *
 * @throws {McbnError} `MCBN_IMAGE_INVALID` for a path that leaves the root, or that is there twice.
 */
export function completed(entries: Iterable<Entry>): readonly Entry[] {
  const byPath = new Map<string, Entry>()
  for (const entry of entries) {
    checkPath(entry.path)
    if (byPath.has(entry.path)) throw bad(`${entry.path} is there twice`)
    byPath.set(entry.path, entry)
  }
  for (const { path } of [...byPath.values()]) {
    for (const folder of foldersOf(path)) {
      const there = byPath.get(folder)
      if (there === undefined) byPath.set(folder, directory(folder))
      else if (there.type !== 'directory')
        throw bad(`${folder} is a ${there.type}, and has ${path}`)
    }
  }
  return [...byPath.values()].sort((left, right) => bytewise(left.path, right.path))
}

/** By bytes of UTF-8: no locale has a say. */
export function bytewise(left: string, right: string): number {
  return Buffer.compare(Buffer.from(left), Buffer.from(right))
}

/**
 * A path out of an archive, without `./` before and `/` behind it; undefined for the root itself.
 *
 * @throws {McbnError} `MCBN_IMAGE_INVALID` when it leaves the root.
 */
export function archivePath(name: string): string | undefined {
  const path = name.replace(/^(?:\.\/)+/, '').replace(/\/+$/, '')
  if (path === '' || path === '.') return undefined
  checkPath(path)
  return path
}

function checkPath(path: string): void {
  const names = path.split('/')
  const odd = names.some((name) => name === '' || name === '.' || name === '..')
  if (odd || path.includes('\0')) throw bad(`expected a path below the root, got "${path}"`)
}

function foldersOf(path: string): string[] {
  const names = path.split('/')
  return names.slice(1).map((_, at) => names.slice(0, at + 1).join('/'))
}

function bad(message: string): McbnError {
  return new McbnError('MCBN_IMAGE_INVALID', message)
}
