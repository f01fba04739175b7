#!/bin/bash
# @fidm/asn1 1.0.4 (npm) reads object identifiers from 2.40 on, and those with large arcs, as other ones.
#
# Setting    object identifiers in DER. X.690 section 8.19: seven bits in each byte, the first two arcs as one number
#            (40 times the first plus the second), the first at most 2. `openssl asn1parse` 3.0 reads what the package
#            writes, and the package reads what OpenSSL writes
# Behaviour  1. The first two arcs are taken for one byte, whatever their number. 2.999.3 is written as 1.15.3; what
#               OpenSSL writes for it is read as 3.16.55.3, below a first arc that does not exist.
#            2. An arc is read in 32 bits with a sign: 4,294,967,295 is -1, and 2.25 with a UUID (X.667 section 7), too.
#            3. Those below 2.40 with arcs to 2,147,483,647 are right, and so are the usual ones of X.509.
# Seen       see `expected` below; nothing is raised
# Matters    vendors without a registered number take 2.25 and a UUID for an extension of their certificates; a program
#            that looks for it does not find it. Still so in the newest release.
#
# Needs openssl, node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . @fidm/asn1@1.0.4

cat >try.cjs <<'JS'
const { execFileSync } = require('node:child_process')
const { ASN1 } = require('@fidm/asn1')

const openssl = (args, input) => execFileSync('openssl', ['asn1parse', ...args], { input, encoding: 'buffer' })
const read = (der) => `${openssl(['-inform', 'DER'], der)}`.match(/OBJECT *:(.*)/)?.[1] ?? 'no object identifier'
const write = (name) => {
  openssl(['-genstr', `OID:${name}`, '-noout', '-out', 'oid.der'])
  return require('node:fs').readFileSync('oid.der')
}
const names = ['1.3.6.1.4.1.42.7', '2.47.1', '2.48.1', '2.999.3', '1.2.2147483647', '1.2.4294967295']
for (const name of [...names, '2.25.329800735698586629295641978511506172918']) {
  const right = write(name)
  console.log(`${name}: openssl writes ${right.toString('hex')}, the package reads ${ASN1.fromDER(right).value}`)
}
for (const name of names) {
  const der = ASN1.OID(name).DER
  console.log(`${name}: the package writes ${der.toString('hex')}, openssl reads ${read(der)}`)
}
JS

cat >expected <<'TEXT'
1.3.6.1.4.1.42.7: openssl writes 06072b060104012a07, the package reads 1.3.6.1.4.1.42.7
2.47.1: openssl writes 06027f01, the package reads 3.7.1
2.48.1: openssl writes 0603810001, the package reads 3.9.0.1
2.999.3: openssl writes 0603883703, the package reads 3.16.55.3
1.2.2147483647: openssl writes 06062a87ffffff7f, the package reads 1.2.2147483647
1.2.4294967295: openssl writes 06062a8fffffff7f, the package reads 1.2.-1
2.25.329800735698586629295641978511506172918: openssl writes 06146983f09da7ebcfdee0c7a1a7b2c0948cc8f9d776, the package reads 2.25.-920753162
1.3.6.1.4.1.42.7: the package writes 06072b060104012a07, openssl reads 1.3.6.1.4.1.42.7
2.47.1: the package writes 06027f01, openssl reads 2.47.1
2.48.1: the package writes 06028001, openssl reads BAD OBJECT:[8001]
2.999.3: the package writes 06023703, openssl reads 1.15.3
1.2.2147483647: the package writes 06062a87ffffff7f, openssl reads 1.2.2147483647
1.2.4294967295: the package writes 06062a8fffffff7f, openssl reads 1.2.4294967295
TEXT
node try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
