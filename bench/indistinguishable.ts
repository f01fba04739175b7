// Whether a server tells strangers by time or by bytes who is known to it. Three strangers come in random order:
// one whose identity nobody has, one with a known identity and a wrong key, and one with the right key whose last
// flight is damaged on the way. What a relay between them sees of the server's answer is compared.
//
//   npx tsx bench/indistinguishable.ts [handshakes of each, 1500; with DTLS 1.2 a third] [TLSv1.3 | TLSv1.2 | DTLSv1.3 | DTLSv1.2 ...]
//
// Their order is random within blocks of thirty. Each pair is compared by the rank sum test, block by block
// (van Elteren), so that nothing counts that changes more slowly. A control has a lookup that takes
// 50 us longer for known identities and must be seen. docs/RELIABILITY.md has a run. All traffic stays in 127.0.0.0/8.

import { Prober, type Protocol, STRANGERS, type Stranger } from './indistinguishable/prober.js'
import { script } from './lib/child.js'

const each = Math.min(Number(process.argv[2] ?? 1_500), 20_000)
/** Standard deviations: by chance beyond it in one of 15,000 comparisons. */
const LIMIT = 4
const PLANTED_US = 50
/** Strangers of each kind in a block. */
const BLOCK = 10
/** DTLS 1.2 answers after 30 ms; several strangers at the same time would disturb each other more than they are worth. */
const SHARE: Readonly<Record<Protocol, number>> = {
  'TLSv1.3': 1,
  'TLSv1.2': 1,
  'DTLSv1.3': 1,
  'DTLSv1.2': 1 / 3,
}
const WARM_UP = 50

interface Probe {
  readonly who: Stranger
  readonly block: number
}
type Times = Readonly<Record<Stranger, number[]>>

function probesByChance(protocol: Protocol): Probe[] {
  const blocks = Math.ceil((each * SHARE[protocol]) / BLOCK)
  return Array.from({ length: blocks }, (_, block) => {
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
  const prober = await Prober.start(protocol, await server.value('port'))
  const order = probesByChance(protocol)
  const blocks: Times[] = order
    .filter((_, index) => index % (BLOCK * STRANGERS.length) === 0)
    .map(() => ({ unknown: [], 'wrong key': [], damaged: [] }))
  /** By the lengths of an answer's parts: how often each stranger got it. */
  const bytes = new Map<string, Record<Stranger, number>>()
  let lost = 0
  for (let warm = 0; warm < WARM_UP; warm += 1) await prober.probe(STRANGERS[warm % 3] as Stranger)
  const began = performance.now()
  for (const { who, block } of order) {
    const answer = await prober.probe(who)
    if (answer) {
      blocks[block]?.[who].push(answer.microseconds)
      const counts = bytes.get(answer.shape) ?? { unknown: 0, 'wrong key': 0, damaged: 0 }
      counts[who] += 1
      bytes.set(answer.shape, counts)
    } else lost += 1
  }
  prober.close()
  const row: Record<string, unknown> = {
    protocol: plantedUs ? `${protocol}, ${plantedUs} us planted` : protocol,
  }
  row['each'] = order.length / STRANGERS.length
  if (lost > 0) row['without an answer'] = lost
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
  // DTLS 1.3: a client repeats itself when it hears an alert in the clear, and may be answered within the millisecond.
  row['bytes'] = [...bytes]
    .map(([shape, counts]) => `${shape}: ${STRANGERS.map((who) => counts[who]).join(', ')}`)
    .join('; ')
  return row
}

const rows = []
const PROTOCOLS = ['TLSv1.3', 'TLSv1.2', 'DTLSv1.3', 'DTLSv1.2'] as const
const asked = process.argv.slice(3)
for (const protocol of PROTOCOLS.filter((each) => asked.length === 0 || asked.includes(each)))
  for (const planted of [0, PLANTED_US]) rows.push(await compare(protocol, planted))
for (const row of rows) console.log(row)
process.exit(0)
