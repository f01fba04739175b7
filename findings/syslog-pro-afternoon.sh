#!/bin/bash
# syslog-pro 1.0.0 (npm) stamps messages of the afternoon with an hour of the morning, and writes "BOM" before them.
#
# Setting    the class RFC5424 of the package sends messages over UDP to a socket on loopback, which prints them; the
#            clock is set by the script. RFC 5424 section 6.2.3 has hours from 00 to 23, section 6.4 three bytes as the
#            byte order mark, section 6.3.3 quotes around each value of structured data, section 6.2.1 the facility 0
# Behaviour  1. The hour is formatted for a clock of twelve hours, without AM or PM: 15:04 is sent as 03:04, midnight
#               as 12:00. The class RFC3164 does the same (RFC 3164 section 4.1.2 has 24 hours too).
#            2. The byte order mark, on by default, is sent as the letters B, O and M, and becomes part of the text.
#            3. The values of timeQuality have no quotes.
#            4. The facility 0 (kernel) becomes 23 (local7).
# Seen       see `expected` below; nothing is raised
# Matters    events of the afternoon stand among those of the morning in a log, and a trial before noon does not show
#            it. Still so in the newest release.
#
# Needs node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . syslog-pro@1.0.0

cat >try.cjs <<'JS'
const { createSocket } = require('node:dgram')
const { RFC5424, RFC3164 } = require('syslog-pro')

const socket = createSocket('udp4')
socket.bind(0, '127.0.0.1', async () => {
  const server = { target: '127.0.0.1', port: socket.address().port, protocol: 'udp' }
  const names = { server, hostname: 'gateway', applacationName: 'meter', timestampUTC: true }
  const sent = async (what, from, options) => {
    const arrived = new Promise((done) => socket.once('message', done))
    await from.send('hello', options)
    console.log(`${what}: ${JSON.stringify(`${await arrived}`)}`)
  }
  for (const time of ['00:00:00', '11:59:59', '12:00:00', '15:04:05', '23:59:59']) {
    Date.now = () => Date.parse(`2026-11-30T${time}Z`)
    await sent(time, new RFC5424(names))
  }
  await sent('the same, RFC3164', new RFC3164(names))
  await sent('structured data', new RFC5424({ ...names, encludeStructuredData: true }))
  await sent('facility 0, error', new RFC5424({ ...names, utf8BOM: false }), { facility: 0, severity: 3 })
  await sent('facility 1, error', new RFC5424({ ...names, utf8BOM: false }), { facility: 1, severity: 3 })
  process.exit()
})
JS

cat >expected <<'TEXT'
00:00:00: "<190>1 2026-11-30T12:00:00+00:00 gateway meter - - - BOMhello\n"
11:59:59: "<190>1 2026-11-30T11:59:59+00:00 gateway meter - - - BOMhello\n"
12:00:00: "<190>1 2026-11-30T12:00:00+00:00 gateway meter - - - BOMhello\n"
15:04:05: "<190>1 2026-11-30T03:04:05+00:00 gateway meter - - - BOMhello\n"
23:59:59: "<190>1 2026-11-30T11:59:59+00:00 gateway meter - - - BOMhello\n"
the same, RFC3164: "<190>Nov 30 11:59:59 gateway meter hello\n"
structured data: "<190>1 2026-11-30T11:59:59+00:00 gateway meter - - [timeQuality tzKnown=1] BOMhello\n"
facility 0, error: "<187>1 2026-11-30T11:59:59+00:00 gateway meter - - - hello\n"
facility 1, error: "<11>1 2026-11-30T11:59:59+00:00 gateway meter - - - hello\n"
TEXT
TZ=UTC timeout 60 node try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
