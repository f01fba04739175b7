// What a measurement is, and how its subjects take turns.

/** One figure of one subject in one round. */
export interface Sample {
  readonly value: number
  /**
   * Microseconds of processor time, user and system, all threads, that a process spent on each unit of
   * work: what is left to compare when others keep the machine busy.
   */
  readonly costs?: Readonly<Record<string, number>>
  /** System calls and the like that a process made for each unit of work, by process and kind. */
  readonly counts?: Readonly<Record<string, number>>
  /** What belongs to the figure, in whole numbers: shown beside the costs. */
  readonly facts?: Readonly<Record<string, number>>
}

export interface Subject {
  readonly name: string
  /** @param counting - count system calls: it makes each a little dearer, so the time is not used. */
  run(seconds: number, counting: boolean): Promise<Sample>
}

/** What DESIGN asks: our median over that subject's, `better` saying which way. */
export interface Bar {
  readonly against: string
  readonly ratio: number
}

export interface Measurement {
  readonly name: string
  readonly title: string
  readonly unit: '/s' | 'us' | 'KB' | 'MB' | 'GB/s' | '% of a core' | 'lost'
  readonly better: 'higher' | 'lower'
  /** Ours first. */
  readonly subjects: readonly Subject[]
  /** Relative to another subject, or its own limit. */
  readonly bars: readonly (Bar | { readonly limit: number })[]
  /** One more turn counts system calls. */
  readonly counts?: boolean
  /** Rounds at most, where one takes long and gives much the same every time. */
  readonly mostRounds?: number
  /** Subjects that cannot be here, and why. */
  readonly skipped: readonly string[]
}

export interface SubjectResult {
  readonly name: string
  readonly values: number[]
  /** By process. */
  readonly costs: Record<string, number[]>
  /** Of each unit of work, by process and kind. */
  counts: Readonly<Record<string, number>>
  /** Of the last round. */
  facts?: Readonly<Record<string, number>>
  failure?: string
}

export interface Result {
  readonly measurement: Measurement
  readonly subjects: readonly SubjectResult[]
}

export interface Turn {
  readonly measurement: Measurement
  readonly round: number
  readonly subject: string
}

/** How many turns there will be. */
export function turnsOf(measurements: readonly Measurement[], rounds: number): number {
  return measurements.reduce(
    (sum, measurement) =>
      sum +
      measurement.subjects.length *
        (roundsOf(measurement, rounds) + (measurement.counts === true ? 1 : 0)),
    0,
  )
}

function roundsOf({ mostRounds = Number.POSITIVE_INFINITY }: Measurement, rounds: number): number {
  return Math.min(rounds, mostRounds)
}

/**
 * Round by round every subject has its turn, first in one order and then in the other, so that what else
 * the machine does, and how warm it is, meets all of them.
 */
export async function measure(
  measurement: Measurement,
  rounds: number,
  seconds: number,
  onTurn: (turn: Turn) => void,
): Promise<Result> {
  const subjects = measurement.subjects.map(
    ({ name }): SubjectResult => ({ name, values: [], costs: {}, counts: {} }),
  )
  for (let round = 0; round < roundsOf(measurement, rounds); round++) {
    const order = measurement.subjects.map((_, index) => index)
    if (round % 2 === 1) order.reverse()
    for (const index of order) {
      const subject = measurement.subjects[index] as Subject
      const result = subjects[index] as SubjectResult
      onTurn({ measurement, round, subject: subject.name })
      try {
        const { value, costs = {}, facts } = await subject.run(seconds, false)
        result.values.push(value)
        if (facts !== undefined) result.facts = facts
        for (const [process, cost] of Object.entries(costs)) {
          result.costs[process] ??= []
          result.costs[process].push(cost)
        }
      } catch (error) {
        // A round without a figure keeps its place: rounds are compared pair by pair.
        result.values.push(Number.NaN)
        result.failure = (error as Error).message
      }
    }
  }
  if (measurement.counts === true) {
    for (const [index, subject] of measurement.subjects.entries()) {
      const result = subjects[index] as SubjectResult
      onTurn({ measurement, round: rounds, subject: subject.name })
      try {
        result.counts = (await subject.run(seconds, true)).counts ?? {}
      } catch (error) {
        result.failure = (error as Error).message
      }
    }
  }
  return { measurement, subjects }
}

/** NaN when there is none. */
export function median(values: readonly number[]): number {
  const sorted = values.filter(Number.isFinite).sort((left, right) => left - right)
  if (sorted.length === 0) return Number.NaN
  const middle = sorted.length >> 1
  const upper = sorted[middle] as number
  return sorted.length % 2 === 1 ? upper : (upper + (sorted[middle - 1] as number)) / 2
}

/** The median of the rounds' own ratios: steadier than a ratio of medians where load comes and goes. */
export function pairedRatio(ours: readonly number[], theirs: readonly number[]): number {
  return median(ours.map((value, round) => value / (theirs[round] ?? Number.NaN)))
}
