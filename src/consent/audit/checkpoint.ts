// Checkpoints: what lets an audit of years be opened in the time of its last thousand lines. All that still
// counts of what came before is said again, in lines `carried`, and the line `checkpoint` behind them is signed by
// the participant. Its signature covers the hash of the line before it, hence all lines before: a reader that trusts the key
// may begin there. An audit that is read from its first line needs none of this.

import type { KeyObject } from 'node:crypto'
import { toBase64url } from '../base/base64url.js'
import { canonicalBytes } from '../base/canonical.js'
import { sign, verifySignature } from '../base/keys.js'
import {
  type AuditHead,
  type AuditLine,
  type ChainedLine,
  chained,
  lineAfter,
  prepareEntry,
} from './chain.js'
import type { AuditOwnEntry } from './events.js'

const PURPOSE = 'mcbn/1 sign checkpoint'

/** Lines from one checkpoint to the next, at the least. */
export const CHECKPOINT_LINES = 1_024
/** Lines between checkpoints for each that is carried: so it is a fifth of the audit at the most. */
const LINES_FOR_ONE_CARRIED = 4

/** What still counts. */
export interface Carried {
  /** One line each; without a type. */
  readonly lines: readonly Omit<AuditOwnEntry, 'type'>[]
  /** Fields of the checkpoint itself. */
  readonly standing: Omit<AuditOwnEntry, 'type'>
}

/** The key that checkpoints are signed with, and its holder's label. */
export interface CheckpointSigner {
  readonly label: string
  /** Ed25519. */
  readonly privateKey: KeyObject
}

/** The key by which checkpoints are believed. */
export interface CheckpointKey {
  readonly label: string
  /** Ed25519, base64url, as a descriptor lists it. */
  readonly ed25519: string
}

/** The lines of a checkpoint, the signed one last. @param now - milliseconds since 1970. */
export function checkpointLines(
  before: AuditHead,
  { lines, standing }: Carried,
  { label, privateKey }: CheckpointSigner,
  now: number,
): readonly ChainedLine[] {
  const made: ChainedLine[] = []
  let head = before
  for (const fields of lines) {
    const next = chained(lineAfter(head, prepareEntry({ type: 'carried', ...fields }, now)))
    made.push(next)
    head = next.head
  }
  const entry: AuditOwnEntry = { type: 'checkpoint', label, carried: lines.length, ...standing }
  const unsigned = lineAfter(head, prepareEntry(entry, now))
  const signature = toBase64url(sign(privateKey, PURPOSE, canonicalBytes(unsigned)))
  return [...made, chained({ ...unsigned, signature })]
}

/** Whether the participant itself has signed this line. */
export function isCheckpointOf({ label, ed25519 }: CheckpointKey, line: AuditLine): boolean {
  const { signature, ...unsigned } = line
  if (line.event !== 'checkpoint' || line['label'] !== label) return false
  if (typeof signature !== 'string') return false
  return verifySignature(ed25519, PURPOSE, [canonicalBytes(unsigned)], signature)
}

/** Lines behind a checkpoint after which the next is due. */
export function checkpointAfter(carried: number, least = CHECKPOINT_LINES): number {
  return Math.max(least, LINES_FOR_ONE_CARRIED * carried)
}
