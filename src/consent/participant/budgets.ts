// How often one source may ask, counted apart for each thing that can be asked: a flood of one uses up no other.

import type { Source } from '../../source.js'
import type { Seconds } from '../base/time.js'
import { RateLimiterMemory, RateLimiterRes } from './rate-limiter.js'

/** What is counted apart. */
export type BudgetName = 'request' | 'evidence' | 'return' | 'status' | 'withdrawal' | 'other'

/** Of `requestsPerSecond`, the part for each: what costs more may be asked less. */
const PARTS = {
  request: 1,
  evidence: 1 / 2,
  return: 1 / 10,
  status: 1 / 5,
  withdrawal: 1 / 5,
  other: 1 / 5,
} as const satisfies Record<BudgetName, number>

/** Seconds over which is counted. */
const WINDOW_SECONDS = 10
/** A site of 48 bits may ask as much as so many networks of 64 bits in it. */
const NETWORKS_OF_SITE = 4

export class Budgets {
  readonly #limiters: Readonly<
    Record<BudgetName, { own: RateLimiterMemory; site: RateLimiterMemory }>
  >

  readonly #refused: Record<BudgetName, number> = {
    ...{ request: 0, evidence: 0, return: 0, status: 0, withdrawal: 0, other: 0 },
  }

  constructor(requestsPerSecond: number) {
    const of = (name: BudgetName) => {
      const points = Math.max(1, Math.round(requestsPerSecond * PARTS[name] * WINDOW_SECONDS))
      const limiter = (factor: number) =>
        new RateLimiterMemory({ points: points * factor, duration: WINDOW_SECONDS })
      return { own: limiter(1), site: limiter(NETWORKS_OF_SITE) }
    }
    this.#limiters = {
      request: of('request'),
      evidence: of('evidence'),
      return: of('return'),
      status: of('status'),
      withdrawal: of('withdrawal'),
      other: of('other'),
    }
  }

  /** How often each was told to wait. */
  get refused(): Readonly<Record<BudgetName, number>> {
    return { ...this.#refused }
  }

  /** @returns `undefined`: within the budget; else when to ask again, at least 1. */
  async spend(name: BudgetName, { own, site }: Source): Promise<Seconds | undefined> {
    const limiters = this.#limiters[name]
    try {
      // The site first: networks without end must not each get an entry.
      if (site !== undefined) await limiters.site.consume(site)
      await limiters.own.consume(own)
      return undefined
    } catch (limit) {
      if (!(limit instanceof RateLimiterRes)) throw limit
      this.#refused[name] += 1
      return Math.max(1, Math.ceil(limit.msBeforeNext / 1000))
    }
  }
}
