#!/bin/bash
# totp.js 0.0.1 and @sunknudsen/totp 1.2.0 (npm) give other one-time passwords than an authenticator.
#
# Setting    time-based one-time passwords (RFC 6238; RFC 4226 section 5.3) of six digits beside `hotp` 3.0.1, for the
#            key of RFC 6238's appendix B and for a binary one. RFC 4226 section 4, R6, has keys of at least 128 bits,
#            no text; RFC 6238 section 4.2 divides the time by 30 seconds and takes the floor; RFC 4226 section 5.3 has
#            six digits, with zeros in front
# Behaviour  1. totp.js turns the bytes of the key into text and back. A key of letters and digits, as in the RFC and as
#               it makes itself, is right; a byte of 128 or more is not, and of 300 binary keys none gave the right
#               code.
#            2. @sunknudsen/totp rounds the time to whole seconds first: the last half second of each 30 has the code of
#               the next.
#            3. @sunknudsen/totp leaves a zero in front out if the whole number is below 100,000: one code of 21,000.
# Seen       see `expected` below; nothing is raised
# Matters    a key that was made elsewhere does not work at all; or one right code of sixty is refused, and nobody can
#            repeat it. Still so in the newest releases.
#
# Needs node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . totp.js@0.0.1 @sunknudsen/totp@1.2.0 hotp@3.0.1

cat >try.cjs <<'JS'
const { createHash } = require('node:crypto')
const hotp = require('hotp')
const { generateToken } = require('@sunknudsen/totp')
const Totp = require('totp.js')

const base32 = (bytes) => Totp.base32.encode(bytes).toString()
function codes(key, time) {
  Date.now = () => time
  const right = hotp(key, Math.floor(time / 30_000))
  return { right, 'totp.js': new Totp(base32(key)).genOTP(), '@sunknudsen/totp': generateToken(base32(key)) }
}
const text = Buffer.from('12345678901234567890')
const binary = Buffer.from('fe9b4c7a1d3082f5e6c9a7b8d4031f2e5a6b7c8d', 'hex')
for (const [what, key, time] of [
  ['the key of the RFC, second 59', text, 59_000],
  ['second 59.499', text, 59_499],
  ['second 59.5', text, 59_500],
  ['second 60', text, 60_000],
  ['second 308430', text, 308_430_000],
  ['a binary key, second 59', binary, 59_000],
])
  console.log(`${what}: ${Object.entries(codes(key, time)).flat().join(' ')}`)

const same = { 'totp.js': 0, '@sunknudsen/totp': 0 }
for (let count = 0; count < 300; count++) {
  const got = codes(createHash('sha1').update(String(count)).digest(), 59_000)
  for (const name in same) if (got[name] === got.right) same[name]++
}
console.log(`of 300 binary keys: ${Object.entries(same).flat().join(' ')}`)
JS

cat >expected <<'TEXT'
the key of the RFC, second 59: right 287082 totp.js 287082 @sunknudsen/totp 287082
second 59.499: right 287082 totp.js 287082 @sunknudsen/totp 287082
second 59.5: right 287082 totp.js 287082 @sunknudsen/totp 359152
second 60: right 359152 totp.js 359152 @sunknudsen/totp 359152
second 308430: right 092555 totp.js 092555 @sunknudsen/totp 92555
a binary key, second 59: right 352388 totp.js 767928 @sunknudsen/totp 352388
of 300 binary keys: totp.js 0 @sunknudsen/totp 300
TEXT
node try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
