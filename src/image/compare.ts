// What differs between two images, by file: what a participant reads who has built an image and got another digest.

import { canonicalBytes } from '../consent/base/canonical.js'
import type { ImageConfig } from './config.js'
import { type ArchiveEntry, decompress, sha256, unpackEntries } from './layer.js'
import type { FoundImage } from './layout.js'
import { bytewise } from './tree.js'

export interface Difference {
  /** The file, or the field of the image's configuration; empty for the manifest as a whole. */
  readonly path: string
  readonly kind: 'only-in-first' | 'only-in-second' | 'differs' | 'configuration' | 'packing'
  /** What differs, and how; one line each. */
  readonly details: readonly string[]
}

/** Most bytes of a line of text that is shown. */
const MOST_SHOWN = 100

/** @returns nothing when both have one digest, else at least one difference. */
export async function compareImages(first: FoundImage, second: FoundImage): Promise<Difference[]> {
  if (first.digest === second.digest) return []
  const [left, right] = await Promise.all([filesOf(first), filesOf(second)])
  const paths = [...new Set([...left.keys(), ...right.keys()])].sort(bytewise)
  const differences: Difference[] = []
  for (const path of paths) {
    const [one, other] = [left.get(path), right.get(path)]
    if (one === undefined) differences.push({ path, kind: 'only-in-second', details: about(other) })
    else if (other === undefined) {
      differences.push({ path, kind: 'only-in-first', details: about(one) })
    } else {
      const details = entryDetails(one, other)
      if (details.length > 0) differences.push({ path, kind: 'differs', details })
    }
  }
  differences.push(...configDifferences(first.config, second.config))
  return differences.length > 0 ? differences : [packingDifference(first, second)]
}

/** The file system that the layers make together; a later layer covers an earlier one. */
async function filesOf({ layers }: FoundImage): Promise<Map<string, ArchiveEntry>> {
  const files = new Map<string, ArchiveEntry>()
  for (const { blob, digest } of layers) {
    for (const entry of await unpackEntries(decompress(blob), digest)) files.set(entry.path, entry)
  }
  return files
}

function entryDetails(one: ArchiveEntry, other: ArchiveEntry): string[] {
  const details: string[] = []
  const field = (name: string, left: string | number, right: string | number) => {
    if (left !== right) details.push(`${name}: ${left} | ${right}`)
  }
  field('type', one.type, other.type)
  field('mode', one.mode.toString(8), other.mode.toString(8))
  field('owner', `${one.uid}:${one.gid}`, `${other.uid}:${other.gid}`)
  field('time', one.mtime, other.mtime)
  field('target', one.target, other.target)
  if (!Buffer.from(one.body).equals(other.body)) {
    field('size', one.body.length, other.body.length)
    details.push(
      `sha256: ${sha256(one.body)} | ${sha256(other.body)}`,
      ...firstDifference(one, other),
    )
  }
  return details
}

/** Where two contents part: the line of a text, the byte of anything else. */
function firstDifference({ body: one }: ArchiveEntry, { body: other }: ArchiveEntry): string[] {
  const shorter = Math.min(one.length, other.length)
  let at = 0
  while (at < shorter && one[at] === other[at]) at += 1
  if (one.includes(0) || other.includes(0)) return [`first difference: byte ${at}`]
  const line = Buffer.from(one.subarray(0, at)).toString('utf8').split('\n').length
  const shown = (body: Uint8Array) => {
    const text = Buffer.from(body).toString('utf8').split('\n')[line - 1] ?? ''
    return text.length > MOST_SHOWN ? `${text.slice(0, MOST_SHOWN)}…` : text
  }
  return [`first difference: line ${line}`, `- ${shown(one)}`, `+ ${shown(other)}`]
}

function configDifferences(one: ImageConfig, other: ImageConfig): Difference[] {
  const [left, right] = [flat(one), flat(other)]
  const paths = [...new Set([...left.keys(), ...right.keys()])].sort(bytewise)
  return (
    paths
      // Layers have been compared by what is in them.
      .filter((path) => !path.startsWith('rootfs.') && left.get(path) !== right.get(path))
      .map((path) => ({
        path,
        kind: 'configuration',
        details: [`${left.get(path) ?? 'absent'} | ${right.get(path) ?? 'absent'}`],
      }))
  )
}

/** Equal files in other archives: another tool, or another compressor. */
function packingDifference(one: FoundImage, other: FoundImage): Difference {
  const digests = (image: FoundImage) => image.layers.map(({ digest }) => digest).join(' ')
  return {
    path: '',
    kind: 'packing',
    details: [
      'equal files and configuration, packed differently',
      `${digests(one)} | ${digests(other)}`,
    ],
  }
}

function about(entry: ArchiveEntry | undefined): string[] {
  if (entry === undefined) return []
  const size = entry.type === 'file' ? `, ${entry.body.length} bytes` : ''
  return [`${entry.type}, mode ${entry.mode.toString(8)}${size}`]
}

/** A document as paths and values, e.g. `config.User`. */
function flat(document: object): Map<string, string> {
  const values = new Map<string, string>()
  const walk = (value: unknown, path: string): void => {
    const fields = value !== null && typeof value === 'object' ? Object.entries(value) : []
    if (fields.length === 0) values.set(path, textOf(value))
    for (const [name, inner] of fields) walk(inner, path === '' ? name : `${path}.${name}`)
  }
  walk(document, '')
  return values
}

function textOf(value: unknown): string {
  if (value !== null && typeof value === 'object') return canonicalBytes(value).toString()
  return typeof value === 'string' ? value : JSON.stringify(value)
}
