// The typed mirror of native/binding/tls_session_wrap: one TLS association, bytes in and bytes out.
//
// Every step returns one number: the READY bits in its lowest 8 bits, above them how many bytes it wrote
// into the lent buffer. One number, because a step runs for every chunk of every connection.

import type {
  NativeAnswer,
  NativeContext,
  NativeCredential,
  NativeFailure,
  NativeOpened,
  NativeQuestion,
} from './contract.js'

export interface NativeTlsSession {
  /** Client, before start(): the key to offer. Copied in. */
  useKey(credential: NativeCredential): number
  /** Client: makes the ClientHello. */
  start(): number
  /**
   * Decrypts `ciphertext` into `plaintext`, which may be empty until the session is open, and may be
   * `ciphertext` itself.
   */
  receive(ciphertext: Uint8Array, plaintext: Uint8Array): number
  /** Encrypts all of `plaintext` into `ciphertext`; what does not fit there is taken. */
  write(plaintext: Uint8Array, ciphertext: Uint8Array): number
  /** Makes the close_notify. */
  shutdown(): number
  answer(question: number, answer: NativeAnswer): number

  takeCiphertext(): Buffer
  takeQuestion(): NativeQuestion
  takeOpened(): NativeOpened
  takeFailure(): NativeFailure
  /** Lines as NSS writes them, each with its newline. */
  takeKeylog(): Buffer[]
  /** Undefined before the session is open, and on TLS 1.2 without RFC 7627. */
  exportKeyingMaterial(length: number, label: string, context?: Uint8Array): Buffer | undefined
  /** Frees it at once, in any state; every other method does nothing from then on. */
  destroy(): void
}

export type NativeTlsSessionConstructor = new (
  context: NativeContext,
  options: NativeTlsSessionOptions,
) => NativeTlsSession

export interface NativeTlsSessionOptions {
  readonly keylog: boolean
  /** Client: the name to ask for; empty: none. */
  readonly servername: string
  /** Client: a function chooses the key, so a TLS 1.2 server's hint becomes a question. */
  readonly askForHint: boolean
}

/** The bits' share of a step's number. */
export const READY_RANGE = 256

/** How many bytes a step wrote into the lent buffer. */
export function stepLength(step: number): number {
  // Beyond 32 bits the shift would be wrong; below, it is what the compiler likes best.
  return step <= 0x7fffffff ? step >>> 8 : Math.floor(step / READY_RANGE)
}
