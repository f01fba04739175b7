#!/bin/bash
# cbor-sync 1.0.4 (npm) takes CBOR's seconds since 1970 for milliseconds.
#
# Setting    tag 1 of CBOR, the epoch-based time (RFC 8949 section 3.4.2): a number of seconds, with a fraction if it is
#            a float. The first two inputs are examples of appendix A. The package `cbor` 10.0.12 reads the same bytes
# Behaviour  the number goes to `new Date()` as it is, which counts milliseconds. A time of today becomes one of
#            January 1970, and a fraction of a second is lost. Tag 0, the time as text, is right, and that is what the
#            package itself writes: with itself it agrees.
# Seen       see `expected` below; nothing is raised
# Matters    small devices that send CBOR over CoAP write tag 1, since it is short; a gateway stamps their readings
#            56 years too early.
#
# Needs node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . cbor-sync@1.0.4 cbor@10.0.12

cat >try.cjs <<'JS'
const sync = require('cbor-sync')
const cbor = require('cbor')
const bytes = (hex) => Buffer.from(hex, 'hex')
const inputs = {
  'tag 1, integer': 'c11a514b67b0',
  'tag 1, float': 'c1fb41d452d9ec200000',
  'tag 1, negative': 'c120',
  'tag 0, text': `c074${Buffer.from('2013-03-21T20:04:00Z').toString('hex')}`,
}
const times = (input) => [cbor.decodeFirstSync(input), sync.decode(input)].map((time) => time.toISOString())
for (const [what, hex] of Object.entries(inputs)) {
  const [right, got] = times(bytes(hex))
  console.log(`${what}: cbor ${right}, cbor-sync ${got}`)
}
const now = new Date('2026-11-30T12:00:00Z')
console.log(`written by cbor, read by cbor-sync: ${sync.decode(cbor.encode(now)).toISOString()}`)
console.log(`written and read by cbor-sync: ${sync.decode(sync.encode(now)).toISOString()}`)
JS

cat >expected <<'TEXT'
tag 1, integer: cbor 2013-03-21T20:04:00.000Z, cbor-sync 1970-01-16T18:51:36.240Z
tag 1, float: cbor 2013-03-21T20:04:00.500Z, cbor-sync 1970-01-16T18:51:36.240Z
tag 1, negative: cbor 1969-12-31T23:59:59.000Z, cbor-sync 1969-12-31T23:59:59.999Z
tag 0, text: cbor 2013-03-21T20:04:00.000Z, cbor-sync 2013-03-21T20:04:00.000Z
written by cbor, read by cbor-sync: 1970-01-21T18:54:00.000Z
written and read by cbor-sync: 2026-11-30T12:00:00.000Z
TEXT
node try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
