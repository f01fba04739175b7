// Heads in a public log that only grows, spoken to as RFC 6962 section 4 has it: tree heads that the log signs,
// inclusion and consistency proofs. The log need not be believed: what it signed it cannot take back unnoticed, and
// others can watch it. Entries are JSON, of the entry type that Certificate Transparency's own servers have for it.
//
//   note   add-json, its signed promise checked; then the tree head: signed, fresh, consistent with the one before,
//          and each head that was promised is in it
//   last   every entry since the last reading, hashed to the root that the log has signed: none can be left out

import { createPublicKey, type KeyObject } from 'node:crypto'
import { McbnError } from '../../../errors.js'
import type { AuditHead } from '../../audit/log.js'
import { canonicalBytes } from '../../base/canonical.js'
import { type Clock, systemClock } from '../../base/clock.js'
import { sign, verifySignature } from '../../base/keys.js'
import type { UnixMilliseconds } from '../../base/time.js'
import { readJson } from '../../base/untrusted.js'
import { askAddress, headAddress } from './address.js'
import { LogAnswers, type SignedTreeHead } from './log-answers.js'
import { emptyLogState, type LogState, readLogState, writeLogState } from './log-state.js'
import { GrowingTree, isConsistent, isIncluded, leafHash } from './merkle.js'
import { type HeadPlace, latest, parseHead } from './note.js'

const PURPOSE = 'mcbn/1 sign audit head'
/** How long a log may take until a promised entry is in its tree, and how old a tree head may be. */
const MERGE_DELAY_MS = 86_400_000
/** Entries asked for at once; a log may give fewer (RFC 6962 section 4.6). */
const BATCH = 256
const MOST_BYTES = 32 * 1024 * 1024

export interface LogHeadsOptions {
  /** Where `ct/v1/` is: `https://...`; `http://` on this machine only. */
  readonly url: string
  /** The log's public key, PEM: EC or RSA (RFC 6962 section 2.1.4). */
  readonly publicKey: string | Buffer
  /** A file that remembers what was read of the log. Public; without it the log is read from its beginning. */
  readonly stateFile: string
  /** The participant whose heads these are. */
  readonly label: string
  readonly keys: { readonly privateKey: KeyObject; readonly ed25519: string }
  /** @defaultValue the machine's clocks */
  readonly clock?: Clock
}

/**
 * Notes heads in a log.
 *
 * @throws {McbnError} `MCBN_OPTION_RANGE` for another address or what is no key. Its methods:
 * `MCBN_CONNECTION_FAILED` where the log does not answer as it should; `MCBN_AUDIT_BROKEN` where it contradicts what
 * it has signed before, or shows two heads of one line.
 */
export function logHeads(options: LogHeadsOptions): HeadPlace {
  return new LogHeads(options)
}

interface Promised {
  readonly leaf: Buffer
  readonly since: UnixMilliseconds
}

class LogHeads implements HeadPlace {
  readonly name: string
  readonly #options: LogHeadsOptions
  readonly #base: URL
  readonly #answers: LogAnswers
  readonly #clock: Clock
  #head: SignedTreeHead | undefined
  #promised: readonly Promised[] = []

  constructor(options: LogHeadsOptions) {
    const url = headAddress(options.url, '--audit-log')
    this.#base = new URL('ct/v1/', url.href.endsWith('/') ? url : `${url.href}/`)
    this.#answers = new LogAnswers(url.origin, publicKeyOf(options.publicKey))
    this.#options = options
    this.#clock = options.clock ?? systemClock
    this.name = `the log at ${url.origin}${url.pathname}`
  }

  async last(): Promise<AuditHead | undefined> {
    const { stateFile } = this.#options
    const before = (await readLogState(stateFile)) ?? emptyLogState()
    const head = await this.#treeHead()
    const state = await this.#readOn(before, head)
    await writeLogState(stateFile, state)
    this.#head = head
    return state.last
  }

  async note({ lines, head }: AuditHead): Promise<void> {
    const { label, keys } = this.#options
    const fields = { v: 'mcbn/1', label, lines, head }
    const signature = sign(keys.privateKey, PURPOSE, canonicalBytes(fields)).toString('base64url')
    const data = canonicalBytes({ ...fields, signature })
    const body = `{"data":${data.toString('utf8')}}`
    const since = this.#clock.wall()
    const answer = await this.#ask('add-json', { method: 'POST', body })
    const entry = this.#answers.promised(answer, data)
    this.#promised = [...this.#promised, { leaf: leafHash(entry), since }]
    await this.#prove()
  }

  /** That the tree has only grown, and has what was promised. */
  async #prove(): Promise<void> {
    const head = await this.#treeHead()
    await this.#demandGrown(head)
    this.#head = head
    const open: Promised[] = []
    for (const promised of this.#promised) {
      if (await this.#isIn(promised, head)) continue
      if (this.#clock.wall() - promised.since > MERGE_DELAY_MS) {
        throw contradicts(this.name, 'an entry that it has promised, within a day, got none')
      }
      open.push(promised)
    }
    this.#promised = open
  }

  async #demandGrown(head: SignedTreeHead): Promise<void> {
    const before = this.#head
    if (before === undefined) return
    const grown = before.size > 0 && head.size > before.size
    const query = `get-sth-consistency?first=${before.size}&second=${head.size}`
    const path = grown ? this.#answers.consistency(await this.#ask(query)) : []
    if (isConsistent(before, head, path)) return
    throw contradicts(this.name, 'a tree that has grown since, got another one')
  }

  async #isIn({ leaf }: Promised, head: SignedTreeHead): Promise<boolean> {
    const hash = encodeURIComponent(leaf.toString('base64'))
    const query = `get-proof-by-hash?hash=${hash}&tree_size=${head.size}`
    const answer = head.size === 0 ? undefined : await this.#ask(query, { mayLack: true })
    if (answer === undefined) return false
    const { index, path } = this.#answers.inclusion(answer)
    if (isIncluded(leaf, index, head.size, path, head.root)) return true
    throw contradicts(this.name, 'a proof that an entry is in its tree, got a wrong one')
  }

  /** Reads what came since; all of it is hashed, so that no entry can be left out. */
  async #readOn(before: LogState, head: SignedTreeHead): Promise<LogState> {
    const tree = GrowingTree.of(before.size, before.hashes)
    if (tree === undefined || head.size < before.size) {
      throw contradicts(this.name, `a tree of at least ${before.size} entries, got ${head.size}`)
    }
    const own = new Map<number, AuditHead>()
    if (before.last !== undefined) own.set(before.last.lines, before.last)
    while (tree.size < head.size) {
      const end = Math.min(tree.size + BATCH, head.size) - 1
      const answer = await this.#ask(`get-entries?start=${tree.size}&end=${end}`)
      for (const entry of this.#answers.entries(answer, end - tree.size + 1)) {
        tree.add(leafHash(entry.leaf))
        const noted = entry.data && this.#ownHead(entry.data)
        if (noted === undefined) continue
        // Signed by this participant twice: two histories were told as one.
        if ((own.get(noted.lines)?.head ?? noted.head) !== noted.head) {
          throw contradicts(this.name, `one head for line ${noted.lines}, got two, both signed`)
        }
        own.set(noted.lines, noted)
      }
    }
    if (!tree.root.equals(head.root)) {
      throw contradicts(this.name, 'entries that give the root that it has signed, got others')
    }
    const last = latest(own.values())
    return { size: tree.size, hashes: tree.hashes, ...(last !== undefined && { last }) }
  }

  /** Anybody may add entries: those of others, and what only looks like one of this participant's, say nothing. */
  #ownHead(data: Buffer): AuditHead | undefined {
    try {
      const entry = readJson(data, data.length, 'entry', 'MCBN_STORE_INVALID')
      const { signature, ...fields } = entry as Record<string, unknown>
      const { label, keys } = this.#options
      if (fields['v'] !== 'mcbn/1' || fields['label'] !== label) return undefined
      const signed = canonicalBytes(fields as never)
      if (!verifySignature(keys.ed25519, PURPOSE, [signed], `${signature}`)) return undefined
      return parseHead(`${fields['lines']}:${fields['head']}`)
    } catch {
      return undefined
    }
  }

  async #treeHead(): Promise<SignedTreeHead> {
    const head = this.#answers.treeHead(await this.#ask('get-sth'))
    // One from before could be shown again, to hide what was noted since.
    const age = this.#clock.wall() - head.signedAt
    if (age <= MERGE_DELAY_MS && age >= -MERGE_DELAY_MS) return head
    throw contradicts(this.name, 'a tree head of the last day, got another one')
  }

  async #ask(path: string): Promise<unknown>
  async #ask(path: string, how: { method: 'POST'; body: string }): Promise<unknown>
  async #ask(path: string, how: { mayLack: true }): Promise<unknown>
  async #ask(
    path: string,
    how: { readonly method?: 'POST'; readonly body?: string; readonly mayLack?: boolean } = {},
  ): Promise<unknown> {
    const { mayLack = false, ...request } = how
    const { status, text } = await askAddress(new URL(path, this.#base), {
      ...request,
      headers: { 'content-type': 'application/json' },
      mostBytes: MOST_BYTES,
    })
    if (status === 200) return readJson(text, MOST_BYTES, this.name, 'MCBN_CONNECTION_FAILED')
    if (mayLack && status >= 400 && status < 500) return undefined
    throw new McbnError('MCBN_CONNECTION_FAILED', `${this.name}: expected 200, got ${status}`)
  }
}

function publicKeyOf(pem: string | Buffer): KeyObject {
  try {
    const key = createPublicKey(pem)
    if (['ec', 'rsa'].includes(key.asymmetricKeyType ?? '')) return key
  } catch {
    // The reason could quote it.
  }
  throw new McbnError(
    'MCBN_OPTION_RANGE',
    "--audit-log-key: expected the log's public key, PEM, EC or RSA",
  )
}

function contradicts(name: string, expected: string): McbnError {
  return new McbnError('MCBN_AUDIT_BROKEN', `${name}: expected ${expected}`)
}
