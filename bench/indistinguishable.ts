// Whether a server tells strangers by time or by bytes who is known to it. Three strangers come in random order:
// one whose identity nobody has, one with a known identity and a wrong key, and one with the right key whose last
// flight is damaged on the way. What a relay between them sees of the server's answer is compared.
//
//   npx tsx bench/indistinguishable.ts [handshakes of each, 2000] [TLSv1.3 | TLSv1.2 | DTLSv1.3 | DTLSv1.2 ...]
//
// Their order is random within blocks of thirty. Each pair is compared by the rank sum test, block by block
// (van Elteren), so that nothing counts that changes more slowly. A control has a lookup that takes
// 50 us longer for known identities and must be seen. docs/RELIABILITY.md has a run. All traffic stays in 127.0.0.0/8.

import { Prober, type Protocol, STRANGERS, type Stranger } from './indistinguishable/prober.js'
import { script } from './lib/child.js'

const each = Math.min(Number(process.argv[2] ?? 2_000), 20_000)
/** Standard deviations: by chance beyond it in one of 15,000 comparisons. */
const LIMIT = 4
const PLANTED_US = 50
/** Strangers of each kind in a block. */
const BLOCK = 10
/**
 * Strangers at the same time. A server of DTLS 1.2 answers after 30 ms, by a clock of whole milliseconds: it takes many of
 * them to see 50 us, and the time is spent waiting.
 */
const LANES: Readonly<Record<Protocol, number>> = {
  'TLSv1.3': 1,
  'TLSv1.2': 1,
  'DTLSv1.3': 1,
  'DTLSv1.2': 8,
}

interface Probe {
  readonly who: Stranger
  readonly block: number
}
type Times = Readonly<Record<Stranger, number[]>>

function probesByChance(): Probe[] {
  return Array.from({ length: Math.ceil(each / BLOCK) }, (_, block) => {
    const some = STRANGERS.flatMap((who) => Array.from({ length: BLOCK }, () => ({ who, block })))
    for (let last = some.length - 1; last > 0; last -= 1) {
      const other = Math.floor(Math.random() * (last + 1))
      ;[some[last], some[other]] = [some[other] as Probe, some[last] as Probe]
    }
    return some
  }).flat()
}

/** The rank sum of `one` above what is expected, and its variance, with what ties take away. */
function rankSum(one: readonly number[], other: readonly number[]): [number, number] {
  const all = [
    ...one.map((value) => ({ value, first: true })),
    ...other.map((value) => ({ value, first: false })),
  ]
  all.sort((a, b) => a.value - b.value)
  let ranks = 0
  let ties = 0
  for (let from = 0; from < all.length; ) {
    let to = from
    while (to < all.length && all[to]?.value === all[from]?.value) to += 1
    const rank = (from + to + 1) / 2
    for (let at = from; at < to; at += 1) if (all[at]?.first) ranks += rank
    ties += (to - from) ** 3 - (to - from)
    from = to
  }
  const [n, m] = [one.length, other.length]
  const total = n + m
  const variance = ((n * m) / 12) * (total + 1 - ties / (total * (total - 1)))
  return [ranks - (n * (total + 1)) / 2, variance]
}

/** Over all blocks, in standard deviations: below 0 where `one` takes less time. */
function vanElteren(blocks: readonly Times[], one: Stranger, other: Stranger): number {
  let sum = 0
  let variance = 0
  for (const block of blocks) {
    const [above, spread] = rankSum(block[one], block[other])
    sum += above
    variance += spread
  }
  return variance === 0 ? 0 : sum / Math.sqrt(variance)
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

async function compare(protocol: Protocol, plantedUs: number): Promise<Record<string, unknown>> {
  await using server = script('../indistinguishable/server.ts', protocol, plantedUs)
  const port = await server.value('port')
  const lanes = Array.from({ length: LANES[protocol] }, () => Prober.start(protocol, port))
  const probers = await Promise.all(lanes)
  const order = probesByChance()
  const blocks: Times[] = order
    .filter((_, index) => index % (BLOCK * STRANGERS.length) === 0)
    .map(() => ({ unknown: [], 'wrong key': [], damaged: [] }))
  const bytes: Record<Stranger, Set<string>> = {
    unknown: new Set(),
    'wrong key': new Set(),
    damaged: new Set(),
  }
  const rest = order.values()
  const work = async (prober: Prober): Promise<void> => {
    for (let warm = 0; warm < 50; warm += 1) await prober.probe(STRANGERS[warm % 3] as Stranger)
    for (const { who, block } of rest) {
      const answer = await prober.probe(who)
      blocks[block]?.[who].push(answer.microseconds)
      bytes[who].add(answer.shape)
    }
    prober.close()
  }
  const began = performance.now()
  await Promise.all(probers.map(work))
  const row: Record<string, unknown> = {
    protocol: plantedUs ? `${protocol}, ${plantedUs} us planted` : protocol,
  }
  row['each'] = order.length / STRANGERS.length
  row['seconds'] = Math.round((performance.now() - began) / 1_000)
  for (const who of STRANGERS) {
    row[`${who}, us`] = Math.round(median(blocks.flatMap((block) => block[who])))
  }
  const pairs: readonly (readonly [Stranger, Stranger])[] = [
    ['unknown', 'wrong key'],
    ['unknown', 'damaged'],
    ['wrong key', 'damaged'],
  ]
  for (const [one, other] of pairs) {
    const z = vanElteren(blocks, one, other)
    row[`${one} / ${other}, z`] = `${z.toFixed(1)}${Math.abs(z) < LIMIT ? '' : ' SEEN'}`
  }
  const shapes = STRANGERS.map((who) => [...bytes[who]].sort().join(' | '))
  row['bytes'] =
    new Set(shapes).size === 1
      ? shapes[0]
      : shapes.map((shape, at) => `${STRANGERS[at]}: ${shape}`).join('; ')
  return row
}

const rows = []
const PROTOCOLS = ['TLSv1.3', 'TLSv1.2', 'DTLSv1.3', 'DTLSv1.2'] as const
const asked = process.argv.slice(3)
for (const protocol of PROTOCOLS.filter((each) => asked.length === 0 || asked.includes(each)))
  for (const planted of [0, PLANTED_US]) rows.push(await compare(protocol, planted))
for (const row of rows) console.log(row)
process.exit(0)
