// Instances that hold a lease, known by secrets that only they can have. They come before strangers, and they
// can give their lease back.

import type { Role } from '../descriptor/types.js'
import type { LeaseReturn, ReleaseRequest } from '../release/messages.js'
import { proofHash } from '../store/lease.js'
import type { Journal } from './journal.js'
import type { LeaseTable } from './leases.js'

/** Of 32 bytes in base64url there are 43. */
const MOST_PROOF_LENGTH = 64

export class Holders {
  readonly #leases: LeaseTable
  readonly #journal: Journal

  constructor(leases: LeaseTable, journal: Journal) {
    this.#leases = leases
    this.#journal = journal
  }

  /** Whether a request proves that it renews a lease that is out. */
  renews({ role, renews }: Pick<ReleaseRequest, 'role' | 'renews'>): boolean {
    return renews !== undefined && this.#holds(role, 'renewalHash', renews)
  }

  /** Whether any message at all proves to be a holder's. Cheap; never throws. */
  sent(message: unknown): boolean {
    const { request = message } = Object(message) as { readonly request?: unknown }
    const { role, renews, proofs } = Object(request) as Readonly<Record<string, unknown>>
    if (role !== 'client' && role !== 'server') return false
    if (typeof renews === 'string') return this.renews({ role, renews })
    const [first] = Array.isArray(proofs) ? proofs : []
    return typeof first === 'string' && this.#holds(role, 'returnHash', first)
  }

  /** @returns how many of the releases told were out. */
  async giveBack({ role, proofs }: LeaseReturn): Promise<number> {
    let returned = 0
    for (const hash of new Set(proofs.map(hashOfProof))) {
      const lease = this.#leases.find(role, 'returnHash', hash)
      if (lease === undefined) continue
      // First the line: after a restart a place is taken too long rather than given twice.
      const { issuer, project, instance } = lease
      const about = { role, issuer, project, instance, returnHash: hash }
      await this.#journal.write({ type: 'lease-ended', reason: 'returned', ...about })
      this.#leases.giveBack(lease, [hash])
      returned += 1
    }
    if (returned > 0) this.#journal.count('returned')
    return returned
  }

  #holds(role: Role, about: 'renewalHash' | 'returnHash', proof: string): boolean {
    if (proof.length > MOST_PROOF_LENGTH) return false
    return this.#leases.find(role, about, hashOfProof(proof)) !== undefined
  }
}

function hashOfProof(text: string): string {
  return proofHash(Buffer.from(text, 'base64url'))
}
