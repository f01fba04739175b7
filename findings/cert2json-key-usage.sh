#!/bin/bash
# cert2json 1.0.13 (npm) says that the key of a CA is for digital signatures, and cuts the serial number.
#
# Setting    certificates with several key usages, which openssl 3.0 makes and prints. RFC 5280 section 4.2.1.3: the
#            bits of KeyUsage are counted from digitalSignature, bit 0, which is the highest bit of the byte; how many
#            at its end are unused is in the byte before (X.690 section 8.6)
# Behaviour  1. The unused bits are shifted away and what is left is counted from its lowest bit, as if that were bit 0.
#               Right is what reads the same both ways: digitalSignature alone, and it with keyEncipherment.
#               keyCertSign and cRLSign, the usages of a CA, are "Digital Signature" and "Content Commitment".
#            2. The serial number in hexadecimal lacks its first byte; 5 is "". Right is one with a zero byte in front
#               (those with the highest bit set). In decimal it is right.
#            3. An address of IPv6 among the names is sixteen decimal numbers with dots.
# Seen       see `expected` below; nothing is raised
# Matters    an inventory of certificates finds no CA, and looks a serial number up in a revocation list in vain. Still
#            so in the newest release.
#
# Needs openssl, node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . cert2json@1.0.13

cat >try.cjs <<'JS'
const { execFileSync } = require('node:child_process')
const cert2json = require('cert2json')
const openssl = (...words) => execFileSync('openssl', words, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] })

const make = ['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '30']
make.push('-subj', '/CN=gw', '-keyout', 'key.pem', '-out', 'certificate.pem')
for (const [serial, usage, name] of [
  ['0x7f01', 'digitalSignature', 'DNS:gw'],
  ['0xff01', 'digitalSignature,keyEncipherment', 'IP:192.0.2.1'],
  ['0x1234', 'keyCertSign,cRLSign', 'IP:2001:db8::1'],
  ['5', 'keyEncipherment', 'DNS:gw'],
  ['6', 'nonRepudiation,keyAgreement', 'DNS:gw'],
]) {
  openssl(...make, '-set_serial', serial, '-addext', `keyUsage=${usage}`, '-addext', `subjectAltName=${name}`)
  const fields = ['-serial', '-ext', 'keyUsage,subjectAltName']
  const right = openssl('x509', '-in', 'certificate.pem', '-noout', ...fields).split('\n').map((line) => line.trim())
  const { serialNumber, extensions } = cert2json.parseFromFile('certificate.pem').tbs
  const { usages } = extensions.find(({ extnID }) => extnID === 'X509v3 Key Usage')
  const { alternativeNames } = extensions.find(({ extnID }) => extnID === 'X509v3 Subject Alternative Name')
  console.log(`openssl: ${right.filter((line) => line !== '' && !line.endsWith(':')).join(' | ')}`)
  console.log(`  cert2json: serial=${serialNumber.hex} | ${usages.join(', ')} | ${alternativeNames}`)
}
JS

cat >expected <<'TEXT'
openssl: serial=7F01 | Digital Signature | DNS:gw
  cert2json: serial=01 | Digital Signature | gw
openssl: serial=FF01 | Digital Signature, Key Encipherment | IP Address:192.0.2.1
  cert2json: serial=ff:01 | Digital Signature, Key Encipherment | 192.0.2.1
openssl: serial=1234 | Certificate Sign, CRL Sign | IP Address:2001:DB8:0:0:0:0:0:1
  cert2json: serial=34 | Digital Signature, Content Commitment (Certificate Signing) | 32.1.13.184.0.0.0.0.0.0.0.0.0.0.0.1
openssl: serial=05 | Key Encipherment | DNS:gw
  cert2json: serial= | Digital Signature | gw
openssl: serial=06 | Non Repudiation, Key Agreement | DNS:gw
  cert2json: serial= | Digital Signature, Data Encipherment | gw
TEXT
node try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
