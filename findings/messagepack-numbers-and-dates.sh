#!/bin/bash
# messagepack 1.1.12, what-the-pack 2.0.3, @ygoe/msgpack 1.0.3 (npm) write 1e20 as another number.
#
# Setting    numbers without a fraction and times, written by each package and read by @msgpack/msgpack 3.1.3. In
#            MessagePack an integer has at most 64 bits, and what is larger is a float (specification, "Int format
#            family" and "Float format family"); a time before 1970 or from 2106 on has a form of 64 or 96 bits
#            ("Timestamp extension type")
# Behaviour  1. Three take a number without a fraction for an integer of 64 bits, however large it is. messagepack and
#               what-the-pack keep its lowest 64 bits: 1e300 is 0. @ygoe/msgpack writes the largest integer for 1e20,
#               0 for 2^64, and -2^63 without its sign.
#            2. @urlpack/msgpack 2.0.1 refuses numbers from 2^53 on. Of a time it keeps 32 bits of the seconds from 2106
#               on, which begins with 1970 again, and what is before 1970 is the last second that has 32 bits.
#            3. what-the-pack writes NaN and Infinity as extensions that only itself reads.
# Seen       see `expected` below; nothing is raised except by @urlpack/msgpack. Smaller numbers and fractions are right
# Matters    a counter of bytes, an energy or a product of both that outgrows 64 bits becomes a small or negative one;
#            "valid until" for ever is in 1970. Still so in the newest releases.
#
# Needs node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . \
  messagepack@1.1.12 what-the-pack@2.0.3 @ygoe/msgpack@1.0.3 @urlpack/msgpack@2.0.1 @msgpack/msgpack@3.1.3

cat >try.cjs <<'JS'
const { decode } = require('@msgpack/msgpack')
const messagepack = require('messagepack')
const urlpack = require('@urlpack/msgpack').makeMessagePackEncoder()
const whatThePack = require('what-the-pack').initialize(2 ** 16)
const ygoe = require('@ygoe/msgpack')

const packages = {
  messagepack: (value) => messagepack.encode(value, messagepack.Any),
  'what-the-pack': (value) => whatThePack.encode(value),
  '@ygoe/msgpack': (value) => ygoe.serialize(value),
  '@urlpack/msgpack': (value) => urlpack.encode(value),
}
const shown = (value) => {
  if (value instanceof Date) return value.toISOString()
  return typeof value === 'object' ? `extension ${value.type}` : String(value)
}
const time = (text) => new Date(text)
const values = [2 ** 53 - 1, 0.1, 2 ** 53, -(2 ** 63), 2 ** 64, 1e20, -1e20, 1e300, 1.5e300, Infinity, NaN]
const times = ['2026-11-30T12:00:00Z', '1969-12-31T23:59:59Z', '2106-02-07T06:28:16Z', '9999-12-31T23:59:59Z'].map(time)
for (const value of [...values, ...times]) {
  const others = []
  for (const [name, encode] of Object.entries(packages)) {
    if (value instanceof Date && name === 'what-the-pack') continue // has no times
    try {
      const got = shown(decode(encode(value)))
      if (got !== shown(value)) others.push(`${name} ${got}`)
    } catch (error) {
      others.push(`${name} raises "${error.message}"`)
    }
  }
  console.log(`${shown(value)}${others.length === 0 ? ', right in all' : ''}`)
  for (const other of others) console.log(`  ${other}`)
}
JS

cat >expected <<'TEXT'
9007199254740991, right in all
0.1, right in all
9007199254740992
  @urlpack/msgpack raises "number is lager than 2^53, try bigint"
-9223372036854776000
  @ygoe/msgpack 9223372036854776000
  @urlpack/msgpack raises "number is smaller than -2^53, try bigint"
18446744073709552000
  messagepack 0
  what-the-pack 0
  @ygoe/msgpack 0
  @urlpack/msgpack raises "number is lager than 2^53, try bigint"
100000000000000000000
  messagepack 7766279631452242000
  what-the-pack 7766279631452242000
  @ygoe/msgpack 18446744073709552000
  @urlpack/msgpack raises "number is lager than 2^53, try bigint"
-100000000000000000000
  messagepack -7766279631452242000
  what-the-pack -7766279631452242000
  @ygoe/msgpack -9223372036854776000
  @urlpack/msgpack raises "number is smaller than -2^53, try bigint"
1e+300
  messagepack 0
  what-the-pack 0
  @ygoe/msgpack 18446744073709552000
  @urlpack/msgpack raises "number is lager than 2^53, try bigint"
1.5e+300
  messagepack 0
  what-the-pack 0
  @ygoe/msgpack 18446744073709552000
  @urlpack/msgpack raises "number is lager than 2^53, try bigint"
Infinity
  what-the-pack extension 0
NaN
  what-the-pack extension 0
2026-11-30T12:00:00.000Z, right in all
1969-12-31T23:59:59.000Z
  @urlpack/msgpack 2106-02-07T06:28:15.000Z
2106-02-07T06:28:16.000Z
  @urlpack/msgpack 1970-01-01T00:00:00.000Z
9999-12-31T23:59:59.000Z
  @urlpack/msgpack 2106-01-29T08:40:31.000Z
TEXT
node try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
