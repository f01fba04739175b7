// Whether a server tells strangers by time or by bytes who is known to it. Three strangers come in random order:
// one whose identity nobody has, one with a known identity and a wrong key, and one with the right key whose last
// flight is damaged on the way. What a relay between them sees of the server's answer is compared.
//
//   npx tsx bench/indistinguishable.ts [handshakes of each, 2000] [TLSv1.3 | TLSv1.2 | DTLSv1.3 | DTLSv1.2 ...]
//
// Mann-Whitney's rank sum test for each pair; a control has a lookup that takes 50 us longer for known identities
// and must be seen. docs/RELIABILITY.md has a run. All traffic stays in 127.0.0.0/8.

import { Prober, type Protocol, STRANGERS, type Stranger } from './indistinguishable/prober.js'
import { script } from './lib/child.js'

const each = Math.min(Number(process.argv[2] ?? 2_000), 20_000)
/** Standard deviations: by chance beyond it in one of 15,000 comparisons. */
const LIMIT = 4
const PLANTED_US = 50

/** The normal approximation of the rank sum test, with what ties take away: 0 where two samples are alike. */
function mannWhitney(one: readonly number[], other: readonly number[]): number {
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
  return variance === 0 ? 0 : (ranks - (n * (total + 1)) / 2 - 0) / Math.sqrt(variance)
}

const median = (values: readonly number[]): number =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

async function compare(protocol: Protocol, plantedUs: number): Promise<Record<string, unknown>> {
  await using server = script('../indistinguishable/server.ts', protocol, plantedUs)
  const prober = await Prober.start(protocol, await server.value('port'))
  const times: Record<Stranger, number[]> = { unknown: [], 'wrong key': [], damaged: [] }
  const bytes: Record<Stranger, Set<string>> = {
    unknown: new Set(),
    'wrong key': new Set(),
    damaged: new Set(),
  }
  const order = STRANGERS.flatMap((who) => Array.from({ length: each }, () => who))
  for (let last = order.length - 1; last > 0; last -= 1) {
    const other = Math.floor(Math.random() * (last + 1))
    ;[order[last], order[other]] = [order[other] as Stranger, order[last] as Stranger]
  }
  for (let warm = 0; warm < 50; warm += 1) await prober.probe(STRANGERS[warm % 3] as Stranger)
  for (const who of order) {
    const answer = await prober.probe(who)
    times[who].push(answer.microseconds)
    bytes[who].add(answer.shape)
  }
  prober.close()
  const row: Record<string, unknown> = {
    protocol: plantedUs ? `${protocol}, ${plantedUs} us planted` : protocol,
  }
  for (const who of STRANGERS) row[`${who}, us`] = Math.round(median(times[who]))
  const pairs: readonly (readonly [Stranger, Stranger])[] = [
    ['unknown', 'wrong key'],
    ['unknown', 'damaged'],
    ['wrong key', 'damaged'],
  ]
  for (const [one, other] of pairs) {
    const z = mannWhitney(times[one], times[other])
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
