#!/bin/bash
# Five NTP clients of npm are back in 1900 from 7 February 2036 on, and one of them invents fractions of a second.
#
# Setting    @hapi/sntp 4.0.0, ntp-client 0.5.3, ntp-time 2.1.1, @destinationstransfers/ntp 2.0.0 and the reader
#            ntp-packet-parser 0.5.0; a UDP socket on loopback is the server and says what time it is. The seconds of a
#            timestamp begin again with 0 at 2036-02-07 06:28:16 UTC: RFC 5905 section 6 numbers these eras, and
#            RFC 4330 section 3 has a rule for clients (first bit 0: after 2036). RFC 5905 section 7.3 has the precision
#            of the server as a signed power of two
# Behaviour  1. All take every timestamp for one of the first era, 136 years too early.
#            2. @destinationstransfers/ntp takes the fraction from the seconds of the next timestamp: 12:00:00.250 is
#               12:00:00.932, and so is every other fraction on that day.
#            3. ntp-time and ntp-packet-parser read the precision without its sign: 2^-23 seconds become 2^233.
# Seen       see `expected` below; nothing is raised
# Matters    a device whose clock is set by such a client finds every certificate not valid yet; one of ten years made
#            today is in use on that day. Still so in the newest releases.
#
# Needs node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . \
  @hapi/sntp@4.0.0 ntp-client@0.5.3 ntp-time@2.1.1 @destinationstransfers/ntp@2.0.0 ntp-packet-parser@0.5.0

cat >try.cjs <<'JS'
const { createSocket } = require('node:dgram')
const { promisify } = require('node:util')
const Sntp = require('@hapi/sntp')
const destinations = require('@destinationstransfers/ntp')
const ntpClient = require('ntp-client')
const { NtpPacketParser } = require('ntp-packet-parser')
const { Client } = require('ntp-time')

const TO_1900 = 2_208_988_800
const timestamp = (time) => {
  const bytes = Buffer.alloc(8)
  bytes.writeUInt32BE((Math.floor(time / 1000) + TO_1900) % 2 ** 32, 0)
  bytes.writeUInt32BE(((time % 1000) / 1000) * 2 ** 32, 4)
  return bytes
}
let now = 0
let answer
const server = createSocket('udp4')
server.on('message', (asked, { port, address }) => {
  // Version 4, server, stratum 2, poll 6, precision -23, no delay; then four timestamps.
  const head = Buffer.from('240206e9000000000000000000000000', 'hex')
  const time = timestamp(now)
  answer = Buffer.concat([head, time, asked.subarray(40, 48), time, time])
  server.send(answer, port, address)
})
server.bind(0, '127.0.0.1', async () => {
  const { port } = server.address()
  const host = '127.0.0.1'
  const clients = {
    '@hapi/sntp': async () => new Date((await Sntp.time({ host, port })).receiveTimestamp),
    'ntp-client': () => promisify(ntpClient.getNetworkTime)(host, port),
    'ntp-time': async () => (await new Client(host, port).syncTime()).time,
    '@destinationstransfers/ntp': () => destinations.getNetworkTime({ server: host, port }),
    'ntp-packet-parser': () => NtpPacketParser.parse(answer).transmitTimestamp,
  }
  for (const time of ['2026-11-30T12:00:00.250Z', '2036-02-07T06:28:15.500Z', '2036-02-07T06:28:16.500Z']) {
    now = Date.parse(time)
    for (const name in clients) console.log(`${time} ${name}: ${(await clients[name]()).toISOString()}`)
  }
  console.log(`precision, ntp-time: ${(await new Client(host, port).syncTime()).precision}`)
  console.log(`precision, ntp-packet-parser: ${NtpPacketParser.parse(answer).precision}`)
  process.exit()
})
JS

cat >expected <<'TEXT'
2026-11-30T12:00:00.250Z @hapi/sntp: 2026-11-30T12:00:00.250Z
2026-11-30T12:00:00.250Z ntp-client: 2026-11-30T12:00:00.250Z
2026-11-30T12:00:00.250Z ntp-time: 2026-11-30T12:00:00.250Z
2026-11-30T12:00:00.250Z @destinationstransfers/ntp: 2026-11-30T12:00:00.932Z
2026-11-30T12:00:00.250Z ntp-packet-parser: 2026-11-30T12:00:00.250Z
2036-02-07T06:28:15.500Z @hapi/sntp: 2036-02-07T06:28:15.500Z
2036-02-07T06:28:15.500Z ntp-client: 2036-02-07T06:28:15.500Z
2036-02-07T06:28:15.500Z ntp-time: 2036-02-07T06:28:15.500Z
2036-02-07T06:28:15.500Z @destinationstransfers/ntp: 2036-02-07T06:28:16.000Z
2036-02-07T06:28:15.500Z ntp-packet-parser: 2036-02-07T06:28:15.500Z
2036-02-07T06:28:16.500Z @hapi/sntp: 1900-01-01T00:00:00.500Z
2036-02-07T06:28:16.500Z ntp-client: 1900-01-01T00:00:00.500Z
2036-02-07T06:28:16.500Z ntp-time: 1900-01-01T00:00:00.500Z
2036-02-07T06:28:16.500Z @destinationstransfers/ntp: 1900-01-01T00:00:00.000Z
2036-02-07T06:28:16.500Z ntp-packet-parser: 1900-01-01T00:00:00.500Z
precision, ntp-time: 233
precision, ntp-packet-parser: 233
TEXT
timeout 60 node --no-deprecation try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
