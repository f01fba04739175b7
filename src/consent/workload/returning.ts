// Giving leases back: a workload that has wiped its keys tells the participants, so that another instance may
// have the place at once. Nothing depends on it: a lease that is not given back runs out.

import { toBase64url } from '../base/base64url.js'
import type { UnixMilliseconds } from '../base/time.js'
import type { VerifiedDescriptor } from '../descriptor/signed.js'
import type { Role } from '../descriptor/types.js'
import type { LeaseReturn } from '../release/messages.js'
import type { LeaseSecrets } from '../release/seal.js'
import { postJson } from './http.js'

/** Milliseconds for all participants together: an orderly end must not hang on one of them. */
const RETURN_MS = 2_000
/** Releases of one participant that are remembered: those before are over. */
const MOST_PROOFS = 16

interface Proof {
  readonly secrets: LeaseSecrets
  readonly expiresAt: UnixMilliseconds
}

/** What one epoch's leases have in common with their participants. */
export class LeaseProofs {
  readonly #proofs = new Map<string, Proof[]>()

  add(label: string, secrets: LeaseSecrets, expiresAt: UnixMilliseconds): void {
    const proofs = this.#proofs.get(label) ?? []
    proofs.push({ secrets, expiresAt })
    for (const old of proofs.splice(0, proofs.length - MOST_PROOFS)) wipe(old)
    this.#proofs.set(label, proofs)
  }

  /** Of the latest release; borrowed. */
  renewal(label: string): Buffer | undefined {
    return this.#proofs.get(label)?.at(-1)?.secrets.renewal
  }

  /** Gives out what is not over, by label, and forgets all. */
  take(now: UnixMilliseconds): Map<string, string[]> {
    const live = new Map<string, string[]>()
    for (const [label, proofs] of this.#proofs) {
      const texts = proofs
        .filter(({ expiresAt }) => expiresAt > now)
        .map(({ secrets }) => toBase64url(secrets.giveBack))
      if (texts.length > 0) live.set(label, texts)
      for (const proof of proofs) wipe(proof)
    }
    this.#proofs.clear()
    return live
  }
}

export interface ReturnCall {
  readonly verified: VerifiedDescriptor
  readonly role: Role
  readonly proofs: ReadonlyMap<string, readonly string[]>
  urlsOf(label: string, signal: AbortSignal): Promise<readonly URL[]>
}

/** Tells all participants at once. Never rejects; resolves after two seconds at the latest. */
export async function giveBack({ verified, role, proofs, urlsOf }: ReturnCall): Promise<void> {
  if (proofs.size === 0) return
  const signal = AbortSignal.timeout(RETURN_MS)
  const dh = toBase64url(verified.hash)
  const tell = async (label: string, own: readonly string[]): Promise<void> => {
    const message: LeaseReturn = { v: 'mcbn/1', dh, role, proofs: own }
    for (const url of await urlsOf(label, signal)) {
      const answered = await postJson(url, 'v1/return', message, signal).then(
        ({ status }) => status === 200,
        () => false,
      )
      if (answered || signal.aborted) return
    }
  }
  const late = new Promise<void>((resolve) => {
    signal.addEventListener('abort', () => resolve(), { once: true })
  })
  const told = Promise.allSettled([...proofs].map(([label, own]) => tell(label, own)))
  await Promise.race([told, late])
}

function wipe({ secrets }: Proof): void {
  secrets.renewal.fill(0)
  secrets.giveBack.fill(0)
}
