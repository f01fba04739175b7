#!/bin/bash
# parse-cosekey 1.0.2, cose-kit 1.7.1, @auth0/cose 1.0.2 (npm): a symmetric JWK becomes a COSE key that is none.
#
# Setting    a JWK with kty "oct", alg "HS256" and kid "meter-7" (RFC 7518 sections 3.1 and 6.4), and the same as a COSE
#            key: {1: 4, 2: 'meter-7', 3: 5, -1: k}. RFC 9052 section 7.1: kid is a byte string, alg a number or text;
#            kty 4 is symmetric (RFC 9053 section 7.3). Each package turns the one into the other
# Behaviour  1. From JWK, parse-cosekey drops the key itself and leaves kty and alg as the texts of JWK. The kid is read
#               as base64, or taken for a number if it is "sign", "P-256" or another of JWK's words.
#            2. From JWK, cose-kit and @auth0/cose write alg as undefined, and kid as text.
#            3. From COSE, parse-cosekey gives no kty, an alg that JWK does not have, and key_ops as numbers.
#            4. From COSE, cose-kit and @auth0/cose drop alg, and the kid of cose-kit is no text.
# Seen       see `expected` below; nothing is raised
# Matters    a pre-shared key that goes from a key server with JWK to a device with COSE does not arrive there, or not
#            under its name. Still so in the newest releases.
#
# Needs node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . \
  parse-cosekey@1.0.2 cose-kit@1.7.1 @auth0/cose@1.0.2 cbor@10.0.12

cat >try.mjs <<'JS'
import { COSEKey } from '@auth0/cose'
import cbor from 'cbor'
import { COSEKeyFromJWK, COSEKeyToJWK } from 'cose-kit'
import cosekey from 'parse-cosekey'

const { KeyParser } = cosekey
const jwk = { kty: 'oct', k: 'AAEC', alg: 'HS256', kid: 'meter-7' }
const cose = [[1, 4], [2, Buffer.from('meter-7')], [3, 5], [4, [9, 10]], [-1, Buffer.from('000102', 'hex')]]
const hex = (bytes) => `h'${Buffer.from(bytes).toString('hex')}'`
const shown = (value) => (ArrayBuffer.isView(value) ? hex(value) : JSON.stringify(value))
const key = (map) => `{${[...map].map(([label, value]) => `${label}: ${shown(value)}`).join(', ')}}`
const read = (bytes) => cbor.decodeFirstSync(bytes)

const fromJwk = {
  'parse-cosekey': (given) => KeyParser.jwk2cose(given),
  'cose-kit': (given) => read(COSEKeyFromJWK(given)),
  '@auth0/cose': async (given) => read((await COSEKey.fromJWK(given)).encode()),
}
for (const name in fromJwk) console.log(`${name}, from JWK: ${key(await fromJwk[name](jwk))}`)
for (const kid of ['sign', 'P-256'])
  console.log(`parse-cosekey, kid "${kid}": ${key(KeyParser.jwk2cose({ ...jwk, kid }))}`)
const toJwk = {
  'parse-cosekey': (map) => KeyParser.cose2jwk(map),
  'cose-kit': (map) => COSEKeyToJWK(map),
  '@auth0/cose': (map) => new COSEKey([...map]).toJWK(),
}
for (const name in toJwk) console.log(`${name}, from COSE: ${JSON.stringify(toJwk[name](new Map(cose)))}`)
JS

cat >expected <<'TEXT'
parse-cosekey, from JWK: {1: "oct", 3: "HS256", 2: h'99eb5eafee'}
cose-kit, from JWK: {1: 4, -1: h'000102', 3: undefined, 2: "meter-7"}
@auth0/cose, from JWK: {1: 4, -1: h'000102', 3: undefined, 2: "meter-7"}
parse-cosekey, kid "sign": {1: "oct", 3: "HS256", 2: 1}
parse-cosekey, kid "P-256": {1: "oct", 3: "HS256", 2: 1}
parse-cosekey, from COSE: {"kid":"bWV0ZXItNw","alg":"HMAC 256/256","key_ops":[9,10],"k":"AAEC"}
cose-kit, from COSE: {"kty":"oct","kid":{"type":"Buffer","data":[109,101,116,101,114,45,55]},"key_ops":["sign","verify"],"k":"AAEC"}
@auth0/cose, from COSE: {"kty":"oct","kid":"bWV0ZXItNw","key_ops":["sign","verify"],"k":"AAEC"}
TEXT
node try.mjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
