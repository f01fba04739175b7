#!/bin/bash
# @oslojs/cbor 1.0.0 (npm) refuses the integers 2,147,483,648 to 4,294,967,295, and with them dates from 2038 on.
#
# Setting    integers of CBOR (RFC 8949 section 3.1) at the borders of their sizes, and the claims of a CBOR Web Token
#            (RFC 8392 section 3.1.4) that is good until March 2038; `decodeCBORToNativeValueNoLeftoverBytes()` of the
#            package beside `cbor` 10.0.12
# Behaviour  four bytes are put together with a sign: from 80000000 on the constructor of the number is given a negative
#            one, and raises a TypeError without a text. The same numbers in eight bytes are read, and so are larger
#            ones
# Seen       see `expected` below
# Matters    RFC 8949 section 4.2.1 has the shortest form, four bytes: seconds since 1970 are refused from 19 January
#            2038 on, today already where they say when something ends. A counter or an address of 32 bits is refused
#            in half of all cases, and the error says neither what nor where. Still so in the newest release.
#
# Needs node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . @oslojs/cbor@1.0.0 cbor@10.0.12

cat >try.mjs <<'JS'
import { decodeCBORToNativeValueNoLeftoverBytes } from '@oslojs/cbor'
import cbor from 'cbor'

const shown = (read) => {
  try {
    return String(read())
  } catch (error) {
    return `${error.name} "${error.message}"`
  }
}
const integers = ['1a7fffffff', '1a80000000', '1affffffff', '1b0000000080000000', '1bffffffffffffffff']
integers.push('3a7fffffff', '3a80000000', '3b0000000080000000')
for (const hex of integers) {
  const bytes = Buffer.from(hex, 'hex')
  const right = cbor.decodeFirstSync(bytes)
  const got = shown(() => decodeCBORToNativeValueNoLeftoverBytes(new Uint8Array(bytes), 1))
  console.log(`${hex}: cbor ${right}, package ${got}`)
}
for (const day of ['2038-01-19T03:14:07Z', '2038-03-01T00:00:00Z']) {
  const claims = cbor.encode(new Map([[4, Date.parse(day) / 1000]]))
  const got = shown(() => decodeCBORToNativeValueNoLeftoverBytes(new Uint8Array(claims), 2)[4])
  console.log(`exp ${day}: ${claims.toString('hex')}: ${got}`)
}
JS

cat >expected <<'TEXT'
1a7fffffff: cbor 2147483647, package 2147483647
1a80000000: cbor 2147483648, package TypeError ""
1affffffff: cbor 4294967295, package TypeError ""
1b0000000080000000: cbor 2147483648, package 2147483648
1bffffffffffffffff: cbor 18446744073709551615, package 18446744073709551615
3a7fffffff: cbor -2147483648, package -2147483648
3a80000000: cbor -2147483649, package TypeError ""
3b0000000080000000: cbor -2147483649, package -2147483649
exp 2038-01-19T03:14:07Z: a1041a7fffffff: 2147483647
exp 2038-03-01T00:00:00Z: a1041a8035e000: TypeError ""
TEXT
node try.mjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
