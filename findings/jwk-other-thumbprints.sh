#!/bin/bash
# rsa-pem-to-jwk 1.1.3 and cose-to-jwk 1.1.0 (npm): a key as JWK has another thumbprint than the same key elsewhere.
#
# Setting    an RSA key in PEM and an ECDSA key in COSE (RFC 9052 appendix C.7.1, the key of "meriadoc") become JWK; Node
#            reads each and writes it again, and parse-cosekey 1.0.2 turns the second too. RFC 7518 section 6.3.1.1: n
#            has no zero byte in front; section 6.2.1.2: x is base64url. A thumbprint is over these texts (RFC 7638)
# Behaviour  1. rsa-pem-to-jwk takes the sign byte of DER along: n, p, q and others begin with "A" and have a byte more.
#            2. cose-to-jwk writes base64 with "+", "/" and "=", and for alg names that JWK does not have.
#            3. Node and others read such keys all the same, so that signatures agree and only names do not.
# Seen       see `expected` below; nothing is raised
# Matters    where a thumbprint is the name of a key (kid, ACME accounts, DPoP), the holder and the checker have two
#            names for one key. Still so in the newest releases.
#
# Needs node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . \
  rsa-pem-to-jwk@1.1.3 cose-to-jwk@1.1.0 parse-cosekey@1.0.2 cbor@10.0.12

cat >try.cjs <<'JS'
const { createHash, createPublicKey, generateKeyPairSync } = require('node:crypto')
const cbor = require('cbor')
const coseToJwk = require('cose-to-jwk')
const { KeyParser } = require('parse-cosekey')
const rsaPemToJwk = require('rsa-pem-to-jwk')

// RFC 7638 section 3: the required members, in the order of their names.
const thumbprint = (jwk) => {
  const names = { RSA: ['e', 'kty', 'n'], EC: ['crv', 'kty', 'x', 'y'] }[jwk.kty]
  return createHash('sha256').update(JSON.stringify(jwk, names)).digest('base64url')
}
const again = (jwk) => createPublicKey({ key: jwk, format: 'jwk' }).export({ format: 'jwk' })

const { publicKey, privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
const given = rsaPemToJwk(privateKey.export({ type: 'pkcs1', format: 'pem' }), 'private')
const right = publicKey.export({ format: 'jwk' })
const bytes = (text) => Buffer.from(text, 'base64url')
const n = bytes(given.n)
console.log(`RSA, n: ${n.length} bytes, the first is ${n[0]}; by Node ${bytes(right.n).length} bytes`)
console.log(`RSA, by Node the same key: ${again(given).n === right.n}`)
console.log(`RSA, the same thumbprint: ${thumbprint(given) === thumbprint(right)}`)

const cose = new Map([
  [1, 2],
  [3, -7],
  [-1, 1],
  [-2, Buffer.from('65eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d', 'hex')],
  [-3, Buffer.from('1e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c', 'hex')],
])
const keys = { 'cose-to-jwk': coseToJwk(cbor.encode(cose)), 'parse-cosekey': KeyParser.cose2jwk(cose) }
for (const [name, jwk] of Object.entries(keys)) {
  console.log(`${name}: ${JSON.stringify(jwk)}`)
  console.log(`  thumbprint ${thumbprint(jwk)}, by Node ${thumbprint(again(jwk))}`)
}
JS

cat >expected <<'TEXT'
RSA, n: 257 bytes, the first is 0; by Node 256 bytes
RSA, by Node the same key: true
RSA, the same thumbprint: false
cose-to-jwk: {"kty":"EC","alg":"ECDSA_w_SHA256","crv":"P-256","x":"Ze2loSV3wrroKUN/4zhwGhCqo3Xhu1td4QjeQ5wIVR0=","y":"HlLtdXARY/f55A3fnzQbPcm6hgr34Mp8p+nuzQCE0Zw="}
  thumbprint LuhyP7oxbEAStWVV2xviIudMYdfSYJwSWV9olIJtYw8, by Node HsSFalww3yP-dO-lWGYgFcyV5H22oScIFc4V2Y6GOto
parse-cosekey: {"kty":"EC","alg":"ES256","crv":"P-256","x":"Ze2loSV3wrroKUN_4zhwGhCqo3Xhu1td4QjeQ5wIVR0","y":"HlLtdXARY_f55A3fnzQbPcm6hgr34Mp8p-nuzQCE0Zw"}
  thumbprint HsSFalww3yP-dO-lWGYgFcyV5H22oScIFc4V2Y6GOto, by Node HsSFalww3yP-dO-lWGYgFcyV5H22oScIFc4V2Y6GOto
TEXT
node try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
