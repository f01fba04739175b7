#!/bin/bash
# snmp-native 1.2.0 (npm) sends the integer -129 as 127, and -32769 as 32767.
#
# Setting    SetRequest with an INTEGER (RFC 3416 section 3) in BER (RFC 3417 section 8): two's complement in as few
#            bytes as it takes (X.690 section 8.3); `set()` of the package to a UDP socket on loopback, which prints
#            the bytes of the value
# Behaviour  the package counts the bytes of the value without its sign. From -129 to -255, from -32,769 to -65,535 and
#            from -8,388,609 to -16,777,215 the highest bit of the first byte is then 0, and the value arrives as a
#            positive one. -1 to -128, -256 to -32,768 and so on are right.
# Seen       see `expected` below; nothing is raised, and an agent that takes the value answers noError
# Matters    set points in tenths of a degree below -12.8 are set above zero; SNMP runs over DTLS too (RFC 6353).
#
# Needs node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . snmp-native@1.2.0

cat >try.cjs <<'JS'
const { createSocket } = require('node:dgram')
const { Session } = require('snmp-native')

const INTEGER = 2
const values = [-1, -128, -129, -200, -255, -256, -32768, -32769, -65535, -65536, 255, 32768]
const agent = createSocket('udp4')
agent.bind(0, '127.0.0.1', () => {
  const session = new Session({ host: '127.0.0.1', port: agent.address().port, timeouts: [5000] })
  const ask = (value) => session.set({ oid: [1, 3, 6, 1, 4, 1, 42, 1, 0], type: INTEGER, value }, () => {})
  agent.on('message', (bytes) => {
    // The value is the last part of the message, after the name 1.3.6.1.4.1.42.1.0.
    const name = Buffer.from('06082b060104012a0100', 'hex')
    const value = bytes.subarray(bytes.indexOf(name) + name.length)
    const content = value.subarray(2)
    console.log(`${values.shift()}: ${value.toString('hex')}, which is ${content.readIntBE(0, content.length)}`)
    if (values.length === 0) process.exit()
    ask(values[0])
  })
  ask(values[0])
})
JS

cat >expected <<'TEXT'
-1: 0201ff, which is -1
-128: 020180, which is -128
-129: 02017f, which is 127
-200: 020138, which is 56
-255: 020101, which is 1
-256: 0202ff00, which is -256
-32768: 02028000, which is -32768
-32769: 02027fff, which is 32767
-65535: 020101, which is 1
-65536: 0203ff0000, which is -65536
255: 020200ff, which is 255
32768: 0203008000, which is 32768
TEXT
timeout 60 node --no-deprecation try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
