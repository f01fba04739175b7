#!/bin/bash
# cbor2 5.4.6 (Debian 12) and cbor 10.0.12 (npm) write the same map in different "canonical" bytes.
#
# Setting    `dumps(canonical=True)` of the one and `encodeCanonical()` of the other. Deterministic encoding is RFC 8949
#            section 4.2.1: keys in the order of their bytes, floats in the shortest form that keeps the value. Its
#            predecessor, RFC 7049 section 3.9, put shorter keys first; section 4.2.3 of RFC 8949 allows that by name
# Behaviour  1. cbor2 sorts as RFC 7049 says, cbor as RFC 8949 does. For numbers from -24 to 23 and text both orders are
#               the same; a map with the keys -1 and 100 is written in two ways.
#            2. cbor2 writes the half-precision floats from 32,768 on in single precision. Appendix A of RFC 8949 has
#               f97bff for 65504.0, and RFC 7049 wants the shortest form too.
# Seen       see `expected` below; each reads what the other wrote
# Matters    a signature or a digest over such bytes, made by one and checked by the other, fails, and not in the first
#            test with small keys. The order is an open question in cbor2's issues.
#
# Needs Debian 12 with python3, node and npm, and a package mirror. Ends with 1 when any of this is no longer so.
set -euo pipefail

readonly VERSION=5.4.6-1+b1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq "python3-cbor2=$VERSION"
dpkg -x ./python3-cbor2_*.deb root
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . cbor@10.0.12

cat >try.py <<'PYTHON'
import cbor2

def shown(what, value):
    print(f'cbor2, {what}:', cbor2.dumps(value, canonical=True).hex())

shown('keys 1, 4, -1, "a"', {'a': 0, -1: 0, 4: 0, 1: 0})
shown('keys 100, -1', {-1: 0, 100: 0})
shown('keys 10, 100, -1, "z", "aa", false', {False: 0, 'aa': 0, 'z': 0, -1: 0, 100: 0, 10: 0})
for number in (1.5, 32752.0, 32768.0, 65504.0):
    shown(number, number)
PYTHON
cat >try.cjs <<'JS'
const { encodeCanonical } = require('cbor')
const shown = (what, keys) =>
  console.log(`cbor, ${what}: ${encodeCanonical(new Map(keys.map((key) => [key, 0]))).toString('hex')}`)
shown('keys 1, 4, -1, "a"', ['a', -1, 4, 1])
shown('keys 100, -1', [-1, 100])
shown('keys 10, 100, -1, "z", "aa", false', [false, 'aa', 'z', -1, 100, 10])
JS

{
  PYTHONPATH=root/usr/lib/python3/dist-packages /usr/bin/python3 try.py
  node try.cjs
} >seen
cat seen
cat >expected <<'TEXT'
cbor2, keys 1, 4, -1, "a": a4010004002000616100
cbor2, keys 100, -1: a22000186400
cbor2, keys 10, 100, -1, "z", "aa", false: a60a002000f400186400617a0062616100
cbor2, 1.5: f93e00
cbor2, 32752.0: f977ff
cbor2, 32768.0: fa47000000
cbor2, 65504.0: fa477fe000
cbor, keys 1, 4, -1, "a": a4010004002000616100
cbor, keys 100, -1: a21864002000
cbor, keys 10, 100, -1, "z", "aa", false: a60a001864002000617a0062616100f400
TEXT
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
