#!/bin/bash
# @harmoniclabs/cbor 2.0.1 (npm) reads 1.1 as -1.5e-180: the bytes of floats are taken in the wrong order.
#
# Setting    floats of CBOR in half, single and double precision, all of appendix A of RFC 8949. Section 3 has
#            multi-byte values in network byte order, the most significant byte first. The package `cbor` 10.0.12 reads
#            the same bytes, and each package reads what the other wrote
# Behaviour  1. A float in single or double precision is read with its lowest byte first, and written so. Infinity is
#               4.6e-41. Half precision is read right, and it is not written.
#            2. With itself it agrees, and integers, also of 64 bits, are right.
# Seen       see `expected` below; nothing is raised
# Matters    every reading of a sensor with a fraction is another number, mostly a tiny one that looks like zero; a test
#            that writes and reads with the one package passes. Still so in the newest release.
#
# Needs node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . @harmoniclabs/cbor@2.0.1 cbor@10.0.12

cat >try.cjs <<'JS'
const cbor = require('cbor')
const { Cbor, CborSimple } = require('@harmoniclabs/cbor')
const read = (bytes) => Cbor.parse(bytes).simple
const write = (number) => Buffer.from(Cbor.encode(new CborSimple(number, 'float')))

for (const hex of ['f93e00', 'f97bff', 'fa47c35000', 'fa7f800000', 'fb3ff199999999999a', 'fbc010666666666666']) {
  const bytes = Buffer.from(hex, 'hex')
  console.log(`${hex}: cbor ${cbor.decodeFirstSync(bytes)}, package ${read(bytes)}`)
}
for (const number of [1.5, -4.1]) {
  const bytes = write(number)
  console.log(`${number} as ${bytes.toString('hex')}: cbor ${cbor.decodeFirstSync(bytes)}, package ${read(bytes)}`)
}
console.log(`3bffffffffffffffff: package ${Cbor.parse(Buffer.from('3bffffffffffffffff', 'hex')).num}`)
JS

cat >expected <<'TEXT'
f93e00: cbor 1.5, package 1.5
f97bff: cbor 65504, package 65504
fa47c35000: cbor 100000, package 7.416892004169359e-39
fa7f800000: cbor Infinity, package 4.609571298396486e-41
fb3ff199999999999a: cbor 1.1, package -1.5423487136706484e-180
fbc010666666666666: cbor -4.1, package 1.9035985662486733e+185
1.5 as fb000000000000f83f: cbor 3.13984e-319, package 1.5
-4.1 as fb66666666666610c0: cbor 1.9035985662486733e+185, package -4.1
3bffffffffffffffff: package -18446744073709551616
TEXT
node try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
