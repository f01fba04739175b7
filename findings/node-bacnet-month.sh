#!/bin/bash
# node-bacnet 0.2.4 (npm) sends and reads the month of a BACnet date one too low and one too high.
#
# Setting    timeSync() and timeSyncUTC() of the package and of @bacnet-js/client 3.3.2 to a UDP socket on loopback,
#            which prints the four bytes of the date (ANSI/ASHRAE 135 section 20.2.12: the year less 1900, the month
#            from 1 to 12, the day, the day of the week from 1, Monday) and the hour; then the bytes of a right date are
#            read by both
# Behaviour  1. node-bacnet takes the months of JavaScript, which begin with 0. A device is set to a month too early; in
#               January to month 0. What it reads is a month too late, and 31 January becomes 3 March.
#               With itself it agrees. The day of the week is right and no longer fits the date.
#            2. timeSyncUTC() sends the hours of the local time zone, in both packages. Section 16.8 of the standard
#               has UTC there.
# Seen       see `expected` below; nothing is raised
# Matters    the clock of a device, its schedules and its trend logs are off by a month, or by the time zone. Still so
#            in the newest releases.
#
# Needs node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . node-bacnet@0.2.4 @bacnet-js/client@3.3.2

cat >try.cjs <<'JS'
const { createSocket } = require('node:dgram')
const NodeBacnet = require('node-bacnet')
const BacnetJs = require('@bacnet-js/client').default

const DATE = 0xa4 // application tag 10, four bytes
const device = createSocket('udp4')
device.bind(0, '127.0.0.1', async () => {
  const to = `127.0.0.1:${device.address().port}`
  const clients = {
    'node-bacnet': [new NodeBacnet({ port: 0, interface: '127.0.0.1' }), to],
    'bacnet-js': [new BacnetJs({ port: 0, interface: '127.0.0.1' }), { address: to }],
  }
  const sent = async (name, method, time) => {
    const arrived = new Promise((done) => device.once('message', done))
    const [client, receiver] = clients[name]
    client[method](receiver, new Date(time))
    const bytes = await arrived
    const date = bytes.subarray(bytes.lastIndexOf(DATE) + 1)
    console.log(`${name} ${method} ${time}: ${date.subarray(0, 4).join(' ')}, hour ${date[5]}`)
  }
  for (const time of ['2026-11-30T12:00:00Z', '2026-01-31T12:00:00Z'])
    for (const name in clients) await sent(name, 'timeSync', time)
  for (const name in clients) await sent(name, 'timeSyncUTC', '2026-11-30T12:00:00Z')
  process.exit()
})
JS
cat >read.cjs <<'JS'
const libraries = {
  'node-bacnet': require('node-bacnet/lib/asn1').decodeDate,
  'bacnet-js': require('./node_modules/@bacnet-js/client/dist/lib/asn1.js').decodeDate,
}
for (const date of [[126, 11, 30, 1], [126, 1, 31, 6]])
  for (const name in libraries)
    console.log(`${name} reads ${date.join(' ')}: ${libraries[name](Buffer.from(date), 0).value.toDateString()}`)
JS

cat >expected <<'TEXT'
node-bacnet timeSync 2026-11-30T12:00:00Z: 126 10 30 1, hour 21
bacnet-js timeSync 2026-11-30T12:00:00Z: 126 11 30 1, hour 21
node-bacnet timeSync 2026-01-31T12:00:00Z: 126 0 31 6, hour 21
bacnet-js timeSync 2026-01-31T12:00:00Z: 126 1 31 6, hour 21
node-bacnet timeSyncUTC 2026-11-30T12:00:00Z: 126 10 30 1, hour 21
bacnet-js timeSyncUTC 2026-11-30T12:00:00Z: 126 11 30 1, hour 21
node-bacnet reads 126 11 30 1: Wed Dec 30 2026
bacnet-js reads 126 11 30 1: Mon Nov 30 2026
node-bacnet reads 126 1 31 6: Tue Mar 03 2026
bacnet-js reads 126 1 31 6: Sat Jan 31 2026
TEXT
TZ=Asia/Tokyo timeout 60 node try.cjs >seen
node read.cjs >>seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
