/**
 * The errors of mcbn: one class, stable codes, and one kind per code that says who has to act.
 *
 * - `usage`: the call is wrong; fix the program. Never caused by traffic.
 * - `environment`: this machine or this Node.js cannot do it.
 * - `peer`: the other side is misconfigured or hostile; log it and go on serving.
 * - `lookup`: the application's own key lookup failed; its error travels as `cause`.
 * - `transport`: the network or the peer's silence; retrying may help.
 * - `consent`: participants have not agreed, or no longer do; ask them.
 * - `internal`: a defect in mcbn; please report it.
 */
export type McbnErrorKind =
  | 'usage'
  | 'environment'
  | 'peer'
  | 'lookup'
  | 'transport'
  | 'consent'
  | 'internal'

/** Each comment answers the reader's question: what do I do now? */
const CODES = {
  /** Pass a value of the type that the message names. */
  MCBN_OPTION_TYPE: 'usage',
  /** Pass a value within the range or set that the message names. */
  MCBN_OPTION_RANGE: 'usage',
  /** Correct the option's name as the message says, or leave the option out. */
  MCBN_OPTION_UNKNOWN: 'usage',
  /** Two options contradict each other: drop the one that the message names. */
  MCBN_OPTION_CONFLICT: 'usage',
  /** Use 16 to 512 random bytes, not all zero; check `hex:` against `ascii:` for a typed key. */
  MCBN_KEY_INVALID: 'usage',
  /** Use 1 to 256 bytes of well-formed UTF-8 (TLS 1.3: up to 64,000); without NUL before TLS 1.3. */
  MCBN_IDENTITY_INVALID: 'usage',
  /** Correct the cipher list; the message says which name selected nothing. */
  MCBN_CIPHERS_INVALID: 'usage',
  /** Ask the participant that the message names for the right share, unaltered. */
  MCBN_SHARE_INVALID: 'usage',
  /** Correct the line of the key file that the message names. */
  MCBN_PSK_FILE_INVALID: 'usage',
  /** Split the message; the limit is in the error's text (and in `maxDatagramSize`). */
  MCBN_MESSAGE_TOO_LARGE: 'usage',
  /** The socket or server is closed: open a new one. */
  MCBN_SOCKET_CLOSED: 'usage',
  /** The message says why the sealed session cannot go on here; without it, connect anew. */
  MCBN_SESSION_REFUSED: 'usage',
  /** Wait until the handshake is done; on (D)TLS 1.2 the peer must support RFC 7627. */
  MCBN_EXPORTER_UNAVAILABLE: 'usage',
  /** Correct the descriptor where the message says; all participants must have signed exactly it. */
  MCBN_DESCRIPTOR_INVALID: 'usage',
  /** Correct the policy file where the message says; its JSON Schema tells what each field takes. */
  MCBN_POLICY_INVALID: 'usage',
  /** Give the right passphrase or key file; if it is right, the store was altered: restore a copy. */
  MCBN_STORE_INVALID: 'usage',
  /** Do the ceremony's steps in the order that the message names, with the messages it names. */
  MCBN_CEREMONY_INVALID: 'usage',
  /** Correct the program, lock file or image where the message says. */
  MCBN_IMAGE_INVALID: 'usage',
  /** The platform gave no evidence: check that this runs where the attester expects; see `cause`. */
  MCBN_ATTESTER_FAILED: 'environment',
  /** A stranger wrote to the participant's database: release nothing, and find out who could write to it. */
  MCBN_STORE_ALTERED: 'environment',
  /** A line of the audit was altered, removed or added: keep the file, and find out who could write it. */
  MCBN_AUDIT_BROKEN: 'environment',
  /** What an image is made of could not be got: see the message for the source and what to do. */
  MCBN_IMAGE_SOURCE_UNAVAILABLE: 'environment',
  /** The session store cannot be opened or written: see the message and `cause`; writing is tried again. */
  MCBN_SESSION_STORE_FAILED: 'environment',
  /** The native addon does not load here; the message says what was found and what is needed. */
  MCBN_ADDON_UNAVAILABLE: 'environment',
  /** The peer's identity has no key here: provision it, or suspect a stranger. */
  MCBN_PSK_IDENTITY_UNKNOWN: 'peer',
  /** Identity known, keys differ: compare the key check values, not the keys. */
  MCBN_PSK_MISMATCH: 'peer',
  /** The server did not prove that it has the key: this is not the intended server. */
  MCBN_PSK_NOT_USED: 'peer',
  /** The peer refused, or nothing in common was found: see `alert` and compare ciphers, versions. */
  MCBN_HANDSHAKE_FAILED: 'peer',
  /** The peer broke the protocol; the connection is gone, others are not affected. */
  MCBN_PROTOCOL_ERROR: 'peer',
  /** The evidence does not prove what it should: the message says which check failed. */
  MCBN_EVIDENCE_REFUSED: 'peer',
  /** A participant's message was altered, forged or for another purpose; blames nobody. */
  MCBN_RELEASE_INVALID: 'peer',
  /** The participant that the message names broke the ceremony: start again without them. */
  MCBN_CEREMONY_CHEATED: 'peer',
  /** Participants saw different messages: somebody between them alters; start again over another way. */
  MCBN_CEREMONY_DISAGREED: 'peer',
  /** The application's key lookup threw or gave something unusable: see `cause`. */
  MCBN_LOOKUP_FAILED: 'lookup',
  /** The application's key lookup took longer than `lookupTimeout`: make it faster or allow more. */
  MCBN_LOOKUP_TIMEOUT: 'lookup',
  /** Nobody answered in time: check address and firewall; on DTLS 1.2, where the message says so, datagrams were lost or the keys differ. */
  MCBN_HANDSHAKE_TIMEOUT: 'transport',
  /** Nothing failed: the socket closes without an `error`, and its `closeReason` is `idle`. Connect again when there is something to say. */
  MCBN_IDLE_TIMEOUT: 'transport',
  /** No connection came about (refused, unreachable, name not found): see `cause`, then retry. */
  MCBN_CONNECTION_FAILED: 'transport',
  /** An established connection broke: see `cause`, then connect again. */
  MCBN_CONNECTION_LOST: 'transport',
  /** The resolver found no address: check the name and the resolver's own service; see `cause`. */
  MCBN_DISCOVERY_FAILED: 'transport',
  /** Not enough participants agree: `refused` and `silent` of the error say whom to ask. */
  MCBN_CONSENT_INSUFFICIENT: 'consent',
  /** Consent expired, was withdrawn or could not be renewed: join again when they agree. */
  MCBN_CONSENT_ENDED: 'consent',
  /** A defect in mcbn: please report it with this message. */
  MCBN_INTERNAL: 'internal',
} as const satisfies Record<string, McbnErrorKind>

/** Every value of {@link McbnError.code}. */
export type McbnErrorCode = keyof typeof CODES

/** What an error can carry besides its code and message; never a secret. */
export interface McbnErrorOptions extends ErrorOptions {
  /** The TLS alert received or sent, by its RFC 8446 section 6 name, e.g. `decrypt_error`. */
  readonly alert?: string | undefined
  /** The label (or position) of the participant whose share was refused. */
  readonly participant?: string | undefined
  /** The line of a key file, counted from 1. */
  readonly line?: number | undefined
}

/** Every error mcbn creates. Switch on `code`, which is stable; never on `message`, which is prose. */
export class McbnError extends Error {
  /** Always `McbnError`. */
  declare readonly name: 'McbnError'
  /** What happened; stable. */
  readonly code: McbnErrorCode
  /** The party that has to act; follows from the code. */
  readonly kind: McbnErrorKind
  /** See {@link McbnErrorOptions.alert}; absent where no alert was involved. */
  declare readonly alert?: string
  /** See {@link McbnErrorOptions.participant}; absent where no participant is to blame. */
  declare readonly participant?: string
  /** See {@link McbnErrorOptions.line}; absent where no file was read. */
  declare readonly line?: number

  static {
    // On the prototype, so that the stack's first line has it and util.inspect does not repeat it.
    Object.defineProperty(McbnError.prototype, 'name', { value: 'McbnError', configurable: true })
  }

  constructor(code: McbnErrorCode, message: string, options: McbnErrorOptions = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined)
    this.code = code
    this.kind = CODES[code]
    // Assigned only when known: an absent field neither clutters inspect nor looks like an answer.
    const { alert, participant, line } = options
    Object.assign(
      this,
      alert !== undefined && { alert },
      participant !== undefined && { participant },
      line !== undefined && { line },
    )
  }

  /** What JSON.stringify shows. Leaves `cause` and `stack` out: they can be somebody else's data. */
  toJSON(): McbnErrorJson {
    const { name, code, kind, message, alert, participant, line } = this
    return {
      name,
      code,
      kind,
      message,
      ...(alert !== undefined && { alert }),
      ...(participant !== undefined && { participant }),
      ...(line !== undefined && { line }),
    }
  }
}

/** The shape of an error in JSON, see {@link McbnError.toJSON}. */
export interface McbnErrorJson {
  readonly name: 'McbnError'
  readonly code: McbnErrorCode
  readonly kind: McbnErrorKind
  readonly message: string
  readonly alert?: string
  readonly participant?: string
  readonly line?: number
}

/** All codes with their kinds, for documentation and exhaustive handling. */
export const MCBN_ERROR_KINDS: Readonly<Record<McbnErrorCode, McbnErrorKind>> = Object.freeze(CODES)
