// Churn: workloads come, renew, go in order and come again as others; processes of participants are killed with -9
// and started again; policies are replaced. What ends without having been closed should not have ended.

import { setMaxListeners } from 'node:events'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { setTimeout as sleep } from 'node:timers/promises'
import type { AuditLine } from '../../src/consent/audit/log.js'
import type { Network } from '../../src/consent/index.js'
import { History } from '../../src/consent/store/history.js'
import { seeded } from '../../test/support/random.js'
import { FleetStage, LABELS, type Label, REPLICAS, told } from './consent-fleet-stage.js'

export interface ChurnOptions {
  readonly workloads: number
  /** Every other policy has leases half as long again. */
  readonly leaseSeconds: number
  readonly minutes: number
  readonly seed: number
}

/** Seconds that a workload lives, at least and at most. */
const LIFE = [60, 480] as const
/** Seconds between two kills, on average. */
const KILL_EVERY = 40
/** Of so many kills one takes all processes of a participant at once. */
const ALL_AT_ONCE = 5
/** Seconds that what was killed stays away, at most. */
const AWAY = 5
const POLICY_EVERY = 60
const TELL_EVERY = 60
/** Memory at the beginning is that after so much of the time: until then everything is new. */
const SETTLED = 0.1
/** What starts a fleet does not start all of it in one moment. */
const JOINING = 16

class Churn {
  readonly #stage: FleetStage
  readonly #options: ChurnOptions
  readonly #until: number
  readonly #over: AbortController = new AbortController()
  /** Of the process that has all workloads: one that gets no processor cannot renew, and nobody else is to blame. */
  readonly #late = monitorEventLoopDelay({ resolution: 100 })
  readonly #joins: number[] = []
  readonly #renewals: number[] = []
  readonly #said = new Map<string, number>()
  readonly #wrong: string[] = []
  /** Released shares, by label, as workloads got them. */
  readonly #released = new Map<string, number>()
  #joined = 0
  #closed = 0
  #live = 0
  /** Processes that were killed, how often, and how often all of a participant. */
  #kills = 0
  #times = 0
  #wholly = 0
  #policies = 0
  #settled: readonly number[] = []

  constructor(stage: FleetStage, options: ChurnOptions) {
    this.#stage = stage
    this.#options = options
    this.#until = Date.now() + options.minutes * 60_000
    setMaxListeners(0, this.#over.signal)
    this.#late.enable()
  }

  async run(): Promise<void> {
    const { workloads, minutes } = this.#options
    const timer = setTimeout(() => this.#over.abort(), minutes * 60_000)
    const settled = setTimeout(
      () => {
        this.#settled = this.#memory()
      },
      minutes * 60_000 * SETTLED,
    )
    const telling = setInterval(() => this.#tell(), TELL_EVERY * 1000)
    try {
      const slots = Array.from({ length: workloads }, (_, at) => this.#slot(at))
      await Promise.all([...slots, this.#killer(), this.#policyMaker()])
    } finally {
      clearTimeout(timer)
      clearTimeout(settled)
      clearInterval(telling)
      this.#over.abort()
    }
    this.#tell()
    await this.#judge()
  }

  /** One workload after the other. */
  async #slot(at: number): Promise<void> {
    const random = seeded(this.#options.seed + 1 + at)
    // Not all in one moment.
    await this.#pause((at / JOINING) * (0.5 + random()))
    for (let life = 0; !this.#isOver; life++) {
      const network = await this.#join(`${at}-${life}`, random)
      if (network === undefined) continue
      let closing = false
      const ended = network.ended.then(({ code, labels }) => {
        if (!closing) this.#wrong.push(`ended: ${code} (${labels})`)
      })
      this.#live += 1
      await Promise.race([ended, this.#pause(LIFE[0] + random() * (LIFE[1] - LIFE[0]))])
      closing = true
      await network.close()
      this.#live -= 1
      this.#closed += 1
    }
  }

  async #join(instance: string, random: () => number): Promise<Network | undefined> {
    const asked = new Map<string, number>()
    const times = { of: this.#joins }
    try {
      const network = await this.#stage.join(instance, {
        // A load balancer's part: any process of a participant is asked, and the other where that is away.
        participants: async (label) => {
          const urls = [...this.#stage.urls(label)]
          return random() < 0.5 ? urls : urls.reverse()
        },
        // Places that were not given back in order are free once their leases are over, and others come first.
        deadline: Math.max(1, this.#until - Date.now()),
        signal: this.#over.signal,
        onProgress: ({ label, state, code }) => {
          if (state === 'asking') asked.set(label, performance.now())
          else if (state === 'released') {
            times.of.push(performance.now() - (asked.get(label) ?? Number.NaN))
            this.#released.set(label, (this.#released.get(label) ?? 0) + 1)
          } else if (state !== 'attesting') {
            const key = `${state} ${code ?? ''}`.trim()
            this.#said.set(key, (this.#said.get(key) ?? 0) + 1)
          }
        },
      })
      times.of = this.#renewals
      this.#joined += 1
      return network
    } catch (error) {
      if (!this.#isOver) this.#wrong.push(`not joined: ${(error as Error).message}`)
      return undefined
    }
  }

  async #killer(): Promise<void> {
    const random = seeded(this.#options.seed)
    for (;;) {
      await this.#pause(KILL_EVERY * (0.5 + random()))
      // Those that are killed are there again before the next ones are.
      if (Date.now() + 2 * AWAY * 1000 > this.#until) return
      const label = LABELS[Math.floor(random() * LABELS.length)] as Label
      const all = this.#times % ALL_AT_ONCE === ALL_AT_ONCE - 1
      const one = Math.floor(random() * REPLICAS)
      const killed = all ? Array.from({ length: REPLICAS }, (_, at) => at) : [one]
      await Promise.all(killed.map((at) => this.#stage.kill(label, at)))
      this.#kills += killed.length
      this.#times += 1
      if (all) this.#wholly += 1
      await sleep(random() * AWAY * 1000)
      for (const at of killed) {
        await this.#stage.restart(label, at).catch((error) => {
          this.#wrong.push(`${label} did not start again: ${error.message}`)
        })
      }
    }
  }

  async #policyMaker(): Promise<void> {
    const { leaseSeconds, seed } = this.#options
    const random = seeded(seed ^ 0x5eed)
    for (;;) {
      await this.#pause(POLICY_EVERY * (0.5 + random()))
      if (this.#isOver) return
      const label = LABELS[this.#policies % LABELS.length] as Label
      const isLonger = Math.floor(this.#policies / LABELS.length) % 2 === 0
      const policy = this.#stage.policy(isLonger ? Math.ceil(1.5 * leaseSeconds) : leaseSeconds)
      try {
        await this.#replacePolicy(label, policy)
        this.#policies += 1
      } catch (error) {
        this.#wrong.push(`${label}: policy not replaced: ${(error as Error).message}`)
      }
    }
  }

  /** As `mcbn participant policy` does it, beside the processes that serve. */
  async #replacePolicy(label: Label, policy: object): Promise<void> {
    const store = await this.#stage.store(label)
    try {
      await store.setPolicy(policy)
    } finally {
      await store.close()
    }
  }

  get #isOver(): boolean {
    return Date.now() >= this.#until
  }

  /** @param seconds - or until it is over. */
  async #pause(seconds: number): Promise<void> {
    await sleep(seconds * 1000, undefined, { signal: this.#over.signal }).catch(() => undefined)
  }

  /** MB of the bench, which has all workloads, and of each process of a participant. */
  #memory(): readonly number[] {
    const all = this.#stage.processes.flatMap((each) => {
      try {
        return [each.residentBytes]
      } catch {
        // Killed just now.
        return []
      }
    })
    return [process.memoryUsage.rss(), ...all].map((bytes) => Math.round(bytes / 1e6))
  }

  #tell(): void {
    const { user, system } = process.cpuUsage()
    console.log(
      JSON.stringify({
        minute: Math.round(this.#options.minutes - (this.#until - Date.now()) / 60_000),
        ...{ live: this.#live, joined: this.#joined, closed: this.#closed },
        renewals: this.#renewals.length,
        ...{ kills: this.#kills, whole: this.#wholly, policies: this.#policies },
        wrong: this.#wrong.length,
        said: Object.fromEntries(this.#said),
        memory: this.#memory(),
        own: Math.round((user + system) / 1e6),
        secondsLate: Math.round(this.#late.max / 1e9),
      }),
    )
    this.#late.reset()
  }

  /** What the audits say of it. */
  async #judge(): Promise<void> {
    console.log(`shares for joining, ${this.#joins.length}: ${told(this.#joins)}`)
    console.log(`shares renewed, ${this.#renewals.length}: ${told(this.#renewals)}`)
    console.log(`MB after a tenth of the time ${this.#settled}; at the end ${this.#memory()}`)
    for (const label of LABELS) {
      const found = await this.#audit(label)
      const got = this.#released.get(label) ?? 0
      console.log(
        `${label}: ${found.lines} lines verify; ${found.releases} shares released, ${got} of them received; ` +
          `a release twice: ${found.twice}; most leases at once ${found.most} of ${this.#options.workloads}`,
      )
      if (found.twice > 0) this.#wrong.push(`${label}: a release twice`)
      if (got > found.releases) this.#wrong.push(`${label}: shares without a line`)
      if (found.most > this.#options.workloads) this.#wrong.push(`${label}: beyond the cap`)
    }
    console.log(`wrong: ${this.#wrong.length}`)
    for (const each of this.#wrong.slice(0, 20)) console.log(`  ${each}`)
    if (this.#wrong.length > 0) process.exitCode = 1
  }

  async #audit(label: Label) {
    const store = await this.#stage.store(label)
    try {
      const { lines } = await store.audit.verify()
      const history = new History()
      const ids = new Set<unknown>()
      let releases = 0
      let most = 0
      for await (const bytes of store.audit.lines()) {
        const line = JSON.parse(Buffer.from(bytes).toString()) as AuditLine
        history.hear(line)
        if (line.event !== 'released' && line.event !== 'renewed') continue
        releases += 1
        ids.add(line['releaseId'])
        most = Math.max(most, history.leases(Date.parse(line.time)).length)
      }
      return { lines, releases, twice: releases - ids.size, most }
    } finally {
      await store.close()
    }
  }
}

export async function churn(options: ChurnOptions): Promise<void> {
  const { workloads: instances, leaseSeconds, minutes } = options
  const lifetimeMs = (minutes + 5) * 60_000
  await using stage = await FleetStage.make({ leaseSeconds, instances, lifetimeMs })
  await new Churn(stage, options).run()
}
