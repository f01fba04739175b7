// A back-up of one secret in n pieces, any t of which bring it back: Shamir's scheme over GF(2^8), by the
// audited package shamir-secret-sharing. The person who splits has the whole secret in hand, and so has the one who combines:
// this is for a drawer and a safe, not for consent. A ceremony makes shares that nobody ever sees together.
//
//   mcbn-piece-1:<set id>:<index>:<t>:<n>:<piece>:<check>
//
// One line, to be printed or kept in a file. The set id (8 random bytes, hex) tells which pieces belong
// together; the check (4 bytes of SHA-256, hex) finds typing errors, in one piece by itself. That pieces of one
// set fit, i.e. that none was replaced, is told by 8 bytes of SHA-256 that are split along with the secret:
// so no piece, and no t - 1 of them, tell anything of it.

import { createHash, randomBytes, timingSafeEqual } from 'node:crypto'
import { combine, split } from 'shamir-secret-sharing'
import { McbnError } from '../../errors.js'
import { type OptionTable, refuseUnknown } from '../../option-names.js'
import { requiredInteger } from '../../options.js'
import { joinAndWipe, lengthPrefixed } from '../../psk/encoding.js'
import { secretCopy } from '../../secret-bytes.js'
import { fromBase64url, toBase64url } from '../base/base64url.js'

/** Bytes of a secret that can be split: a share, a key, a seed. */
export const PIECES_SECRET_BYTES = { min: 16, max: 64 } as const
/** The scheme has 255 points. */
export const PIECES_MAX = 255

const PREFIX = 'mcbn-piece-1'
const FORM =
  /^mcbn-piece-1:([0-9a-f]{16}):(\d{1,3}):(\d{1,3}):(\d{1,3}):([A-Za-z0-9_-]{34,98}):([0-9a-f]{8})$/
const TAG_BYTES = 8
const SET_BYTES = 8

export interface SplitOptions {
  /** How many pieces bring it back: 2 to `pieces`. */
  readonly threshold: number
  /** How many are made: 2 to 255. */
  readonly pieces: number
}

const OPTIONS = {
  threshold: undefined,
  pieces: undefined,
} as const satisfies OptionTable<SplitOptions>

/** What a piece says of itself; not secret. */
export interface PieceHeader {
  /** Hex, the same for all pieces of one secret. */
  readonly set: string
  /** 1 to `pieces`. */
  readonly index: number
  readonly threshold: number
  readonly pieces: number
}

interface Piece extends PieceHeader {
  readonly bytes: Uint8Array
}

/**
 * Splits a secret.
 *
 * @param secret - 16 to 64 random bytes; borrowed.
 * @returns one line a piece; each is a secret.
 * @throws {McbnError} `MCBN_OPTION_TYPE`, `MCBN_OPTION_RANGE`.
 */
export async function splitSecret(secret: Uint8Array, options: SplitOptions): Promise<string[]> {
  refuseUnknown('splitSecret', options, OPTIONS)
  const { threshold, pieces } = options
  const { min, max } = PIECES_SECRET_BYTES
  requiredInteger('pieces', pieces, { min: 2, max: PIECES_MAX })
  requiredInteger('threshold', threshold, { min: 2, max: pieces })
  requiredInteger('secret: length', secret.length, { min, max, unit: 'bytes' })
  const set = randomBytes(SET_BYTES).toString('hex')
  // The package takes no Buffer. It also gets the tag, so that nothing public depends on the secret.
  const tagged = new Uint8Array(secret.length + TAG_BYTES)
  tagged.set(secret)
  tagged.set(tagOf(set, secret), secret.length)
  try {
    const made = await split(tagged, pieces, threshold)
    return made.map((bytes, at) => {
      const line = formatPiece({ set, index: at + 1, threshold, pieces, bytes })
      bytes.fill(0)
      return line
    })
  } finally {
    tagged.fill(0)
  }
}

/**
 * Brings a secret back.
 *
 * @param lines - `threshold` or more pieces of one set, in any order; the same one twice counts once.
 * @returns fresh bytes; the caller owns and wipes them.
 * @throws {McbnError} `MCBN_SHARE_INVALID` saying which piece is wrong, foreign or missing; with more than
 * `threshold` of them also which one does not fit the others.
 */
export async function combinePieces(lines: readonly string[]): Promise<Buffer> {
  const pieces = distinct(lines.map((line, at) => parsePiece(line, `piece ${at + 1} of the input`)))
  try {
    const [first] = pieces
    if (first === undefined) throw invalid('pieces: expected at least 2, got none')
    const { threshold } = first
    if (pieces.length < threshold) {
      const have = pieces.map(({ index }) => index).join(', ')
      throw invalid(
        `pieces: expected ${threshold} of set ${first.set}, got ${pieces.length} (number ${have})`,
      )
    }
    const secret = await tryAll(pieces)
    if (secret !== undefined) return secret
    throw await misfit(pieces)
  } finally {
    for (const { bytes } of pieces) bytes.fill(0)
  }
}

/** What a piece says of itself. @throws {McbnError} `MCBN_SHARE_INVALID` for a damaged one. */
export function describePiece(line: string): PieceHeader {
  const { bytes, ...header } = parsePiece(line, 'piece')
  bytes.fill(0)
  return header
}

function formatPiece({ set, index, threshold, pieces, bytes }: Piece): string {
  const text = [PREFIX, set, index, threshold, pieces, toBase64url(bytes)].join(':')
  return `${text}:${checkOf(text)}`
}

function parsePiece(line: string, name: string): Piece {
  const text = line.trim()
  const parts = FORM.exec(text)
  if (parts === null) {
    const cut = text.startsWith(`${PREFIX}:`)
    throw invalid(
      cut
        ? `${name}: expected a whole piece, ${PREFIX}: and six parts with colons between, got one that is cut or has more; copy it again`
        : `${name}: expected a line that begins with ${PREFIX}:, got another`,
    )
  }
  const [, set = '', index = '', threshold = '', pieces = '', body = '', check] = parts
  const [at, t, n] = [Number(index), Number(threshold), Number(pieces)]
  if (check !== checkOf(text.slice(0, text.lastIndexOf(':')))) {
    throw invalid(
      `${name}: it says number ${at} of set ${set}, but its check does not fit: mistyped`,
    )
  }
  const bytes = fromBase64url(body, Math.floor((body.length * 3) / 4))
  if (bytes === undefined || t < 2 || t > n || n > PIECES_MAX || at < 1 || at > n) {
    throw invalid(`${name}: expected a piece as mcbn split writes them, got impossible numbers`)
  }
  return { set, index: at, threshold: t, pieces: n, bytes: Uint8Array.from(bytes) }
}

/** One set, each number once. */
function distinct(pieces: readonly Piece[]): Piece[] {
  const [first] = pieces
  const byIndex = new Map<number, Piece>()
  for (const piece of pieces) {
    if (first === undefined || !sameSet(first, piece)) {
      throw invalid(
        `piece ${piece.index} of set ${piece.set}: expected set ${first?.set}, as the first`,
      )
    }
    const other = byIndex.get(piece.index)
    if (other !== undefined && Buffer.compare(other.bytes, piece.bytes) !== 0) {
      throw invalid(`piece ${piece.index} of set ${piece.set}: expected one, got two that differ`)
    }
    byIndex.set(piece.index, piece)
  }
  return [...byIndex.values()]
}

function sameSet(one: Piece, other: Piece): boolean {
  return (
    one.set === other.set &&
    one.threshold === other.threshold &&
    one.pieces === other.pieces &&
    one.bytes.length === other.bytes.length
  )
}

/** Undefined unless the tag inside fits. Any t of them would do: all are used, so that all are checked. */
async function tryAll(pieces: readonly Piece[]): Promise<Buffer | undefined> {
  const [first] = pieces
  const points = new Set(pieces.map(({ bytes }) => bytes.at(-1)))
  if (first === undefined || points.size !== pieces.length) return undefined
  const tagged = await combine(pieces.map(({ bytes }) => bytes))
  try {
    const secret = tagged.subarray(0, tagged.length - TAG_BYTES)
    if (!timingSafeEqual(tagOf(first.set, secret), tagged.subarray(secret.length))) return undefined
    return secretCopy(secret)
  } finally {
    tagged.fill(0)
  }
}

/** With one piece more than needed, the one without which the others fit is the wrong one. */
async function misfit(pieces: readonly Piece[]): Promise<McbnError> {
  const [first] = pieces
  const set = first?.set ?? ''
  if (first !== undefined && pieces.length > first.threshold) {
    for (const piece of pieces) {
      const rest = await tryAll(pieces.filter((other) => other !== piece))
      rest?.fill(0)
      if (rest !== undefined) {
        return invalid(`piece ${piece.index} of set ${set}: does not fit the others; leave it out`)
      }
    }
  }
  const numbers = pieces.map(({ index }) => index).join(', ')
  return invalid(
    `pieces ${numbers} of set ${set}: expected them to fit together, at least one is not genuine; add another piece to find out which`,
  )
}

/** 8 bytes that only the right secret has. */
function tagOf(set: string, secret: Uint8Array): Buffer {
  const input = joinAndWipe([
    lengthPrefixed('mcbn/1 pieces'),
    lengthPrefixed(set),
    lengthPrefixed(secret),
  ])
  try {
    return createHash('sha256').update(input).digest().subarray(0, TAG_BYTES)
  } finally {
    input.fill(0)
  }
}

function checkOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 8)
}

function invalid(message: string): McbnError {
  return new McbnError('MCBN_SHARE_INVALID', message)
}
