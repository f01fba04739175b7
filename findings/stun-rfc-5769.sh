#!/bin/bash
# @msimerson/stun 3.2.1 and webrtc-stun 3.0.0 (npm) do not read the sample messages of RFC 5769.
#
# Setting    the sample request and responses of RFC 5769 sections 2.1 to 2.3, and a request of ICE with USE-CANDIDATE,
#            which has no value (RFC 8445 section 16.1). `stun` 2.1.0 reads the addresses beside the two. RFC 8489
#            section 14.2: an IPv6 address is XORed with the magic cookie and the transaction id; sections 14.5 and
#            14.7: integrity and fingerprint are over the bytes of the message; padding may have any value (RFC 5389
#            section 15) and is ignored (RFC 8489 section 14)
# Behaviour  1. @msimerson/stun undoes the XOR for the first four bytes of an IPv6 address. What it writes is right.
#            2. webrtc-stun makes the message anew from the attributes that it knows, with zeros as padding, and checks
#               integrity and fingerprint over that: with another padding or another attribute they do not agree.
#            3. webrtc-stun refuses a message that has an attribute without a value.
# Seen       see `expected` below; nothing is raised
# Matters    a device behind an IPv6 network learns an address that it does not have, another one each time, and tells
#            its peers to connect there; right answers of a server, and each nomination of ICE, are dropped. Still so in
#            the newest releases.
#
# Needs node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . \
  @msimerson/stun@3.2.1 webrtc-stun@3.0.0 stun@2.1.0

cat >try.cjs <<'JS'
const stun = require('stun')
const msimerson = require('@msimerson/stun')
const webrtc = require('webrtc-stun')

const header = (type, length) => `${type} ${length} 2112a442 b7e7a701bc34d686fa87dfae`
const software = '8022000b 7465737420766563746f7220'
const samples = {
  request: `${header('0001', '0058')} 80220010 5354554e207465737420636c69656e74 00240004 6e0001ff
    80290008 932ff9b151263b36 00060009 6576746a3a68367659202020
    00080014 9aeaa70cbfd8cb56781ef2b5b2d3f249c1b571a2 80280004 e57a3bcf`,
  'IPv4 response': `${header('0101', '003c')} ${software} 00200008 0001a147e112a643
    00080014 2b91f599fd9e90c38c7489f92af9ba53f06be7d7 80280004 c07d4c96`,
  'IPv6 response': `${header('0101', '0048')} ${software} 00200014 0002a1470113a9faa5d3f179bc25f4b5bed2b9d9
    00080014 a382954e4be67bf11784c97c8292c275bfe3ed41 80280004 c8fb0b4c`,
}
const bytes = (text) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex')
const key = 'VOkJxbRl1RmTxUk/WvJxBt'

for (const [what, text] of Object.entries(samples)) {
  const mine = webrtc.createBlank()
  console.log = () => {} // it prints the attributes that it does not know
  const loaded = mine.loadBuffer(bytes(text))
  delete console.log
  const check = mine.isBindingRequest() ? 'isBindingRequest' : 'isBindingResponseSuccess'
  process.stdout.write(`${what}: webrtc-stun ${loaded ? 'reads it' : 'refuses it'}, fingerprint `)
  process.stdout.write(`${mine[check]({ fingerprint: true })}, integrity ${mine[check]({ integrityKey: key })}\n`)
  if (what === 'request') continue
  const addresses = [stun.decode(bytes(text)).getXorAddress(), msimerson.decode(bytes(text)).getXorAddress()]
  addresses.push(mine.getXorMappedAddressAttribute())
  const [right, ...others] = addresses.map(({ address, port }) => `${address} ${port}`)
  process.stdout.write(`  stun ${right}\n  @msimerson/stun ${others[0]}\n  webrtc-stun ${others[1]}\n`)
}
const nominated = webrtc.createBlank().loadBuffer(bytes(`${header('0001', '0004')} 00250000`))
process.stdout.write(`USE-CANDIDATE: webrtc-stun ${nominated ? 'reads it' : 'refuses it'}\n`)
const written = stun.createMessage(0x101)
written.addXorAddress('2001:db8::1', 5684)
const own = msimerson.createMessage(0x101, written.transactionId)
own.addXorAddress('2001:db8::1', 5684)
process.stdout.write(`the same bytes written by both: ${stun.encode(written).equals(msimerson.encode(own))}\n`)
JS

cat >expected <<'TEXT'
request: webrtc-stun reads it, fingerprint false, integrity false
IPv4 response: webrtc-stun reads it, fingerprint false, integrity false
  stun 192.0.2.1 32853
  @msimerson/stun 192.0.2.1 32853
  webrtc-stun 192.0.2.1 32853
IPv6 response: webrtc-stun reads it, fingerprint false, integrity false
  stun 2001:db8:1234:5678:11:2233:4455:6677 32853
  @msimerson/stun 2001:db8:a5d3:f179:bc25:f4b5:bed2:b9d9 32853
  webrtc-stun 2001:db8:1234:5678:11:2233:4455:6677 32853
USE-CANDIDATE: webrtc-stun refuses it
the same bytes written by both: true
TEXT
node --no-deprecation try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
