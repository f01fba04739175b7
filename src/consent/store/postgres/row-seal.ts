// What decides about releases, as the participant's own processes last left it: the row under a MAC whose key
// comes out of the sealed secrets. Somebody who can write to the database, but not open the secrets, can put
// in no other policy, approval, withdrawal, epoch or end of the audit, and no row of another participant.
//
//   key    = HKDF-SHA256(Ed25519 seed, no salt, "mcbn/1 row seal key", 32)
//   seal   = HMAC-SHA256(key, lp("mcbn/1 row seal") || canonical({table, label, generation, lines, head,
//            checkpoint, stateVersion, documents}))      hex
//
// `documents` are the SHA-256 of each document in the row. The audit's end is under the MAC, and each line is under
// the hash of the next: hence all lines are. Every change adds a line or counts a version, so that an old document
// fits no later row. What it cannot show is a row that was put back whole, with the audit of that time.

import { createHash, createHmac, hkdfSync, timingSafeEqual } from 'node:crypto'
import { McbnError } from '../../../errors.js'
import { lengthPrefixed } from '../../../psk/encoding.js'
import { secretCopy } from '../../../secret-bytes.js'
import { canonicalBytes } from '../../base/canonical.js'
import { exportPrivate, type ParticipantKeys } from '../../base/keys.js'
import type { FoundRow, Row } from './row.js'

/** What a row holds, as text; the documents of a folder. */
export interface Documents {
  readonly participant: string
  readonly secrets: string
  readonly descriptor: string | null
  readonly policy: string | null
  readonly state: string
}

/** SHA-256 of each, hex; `-` where there is none. */
export type Digests = { readonly [name in keyof Documents]: string }

/** Their names, in the order of their hashes. */
export const DOCUMENTS = ['participant', 'secrets', 'descriptor', 'policy', 'state'] as const

const NONE = '-'
const TITLE = lengthPrefixed('mcbn/1 row seal')
const TABLE = 'mcbn_participant'
const DIGESTS = /^(?:(?:[0-9a-f]{64}|-) ){4}[0-9a-f]{64}$/

export function digestsOf(documents: Partial<Documents>): Partial<Digests> {
  const some = DOCUMENTS.flatMap((name) => {
    const text = documents[name]
    return text === undefined ? [] : [[name, digestOf(text)] as const]
  })
  return Object.fromEntries(some)
}

export function digestsText(digests: Digests): string {
  return DOCUMENTS.map((name) => digests[name]).join(' ')
}

/** Makes and checks the seals of one participant's row. */
export class RowSealer {
  readonly #label: string
  readonly #name: string
  readonly #key: Buffer

  /** @param name - of the database, for messages. */
  constructor(label: string, name: string, keys: ParticipantKeys) {
    this.#label = label
    this.#name = name
    const { ed25519, x25519 } = exportPrivate(keys)
    const key = new Uint8Array(hkdfSync('sha256', ed25519, '', 'mcbn/1 row seal key', 32))
    this.#key = secretCopy(key)
    key.fill(0)
    ed25519.fill(0)
    x25519.fill(0)
  }

  seal(row: Row): string {
    return this.#mac(row, digestsText(row.digests)).toString('hex')
  }

  /**
   * The row, once it is known to be the participant's own.
   *
   * @throws {McbnError} `MCBN_STORE_ALTERED`; `MCBN_STORE_INVALID` for a row that was never sealed.
   */
  checked({ sealed, digests: text, ...row }: FoundRow): Row {
    if (sealed === null || text === null) throw this.#unsealed()
    const expected = this.#mac(row, text)
    const given = Buffer.from(sealed, 'hex')
    if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
      throw this.#altered('its row as it was sealed last')
    }
    if (!DIGESTS.test(text)) throw this.#altered('the hashes of its documents')
    const words = text.split(' ')
    const digests = Object.fromEntries(DOCUMENTS.map((name, at) => [name, words[at]])) as Digests
    return { ...row, digests }
  }

  /** @throws {McbnError} `MCBN_STORE_ALTERED` unless the row's seal covers this very text. */
  demand({ digests }: Row, documents: Partial<Documents>): void {
    for (const [name, digest] of Object.entries(digestsOf(documents))) {
      if (digest !== digests[name as keyof Digests]) throw this.#altered(`its ${name}`)
    }
  }

  /** @throws {McbnError} `MCBN_STORE_ALTERED` where the audit has lines behind the end that the row tells. */
  demandEnd({ lines }: Row, last: number): void {
    if (last > lines) throw this.#altered(`${lines} lines of the audit`)
  }

  close(): void {
    this.#key.fill(0)
  }

  #mac({ generation, lines, head, checkpoint, stateVersion }: Omit<Row, 'digests'>, text: string) {
    const about = { generation, lines, head, checkpoint, stateVersion, documents: text }
    return createHmac('sha256', this.#key)
      .update(TITLE)
      .update(canonicalBytes({ table: TABLE, label: this.#label, ...about }))
      .digest()
  }

  #altered(what: string): McbnError {
    return new McbnError(
      'MCBN_STORE_ALTERED',
      `${this.#name}: expected ${what}, for participant ${this.#label}, got another one that this participant did not write; nothing is released from it`,
    )
  }

  #unsealed(): McbnError {
    return new McbnError(
      'MCBN_STORE_INVALID',
      `${this.#name}: expected participant ${this.#label} with a sealed row, got one of an earlier mcbn: stop all its processes, and type mcbn participant seal`,
    )
  }
}

function digestOf(text: string | null): string {
  return text === null ? NONE : createHash('sha256').update(text).digest('hex')
}
