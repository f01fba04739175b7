#!/bin/bash
# gpsd 3.22 (Debian 12) reports a ship that turns left as one that turns right; ais-stream-decoder 2.1.2 (npm) neither.
#
# Setting    AIS messages in NMEA sentences: position reports with all kinds of turns (ITU-R M.1371-5, annex 8, messages
#            1 to 3: the field is 4.733 times the root of the degrees a minute, negative to the left; 127 and -127 are
#            faster than five degrees in 30 seconds, -128 says that it is not known), and the voyage data of two ships,
#            of which one sentence each is lost. `gpsdecode -j` beside the package; IEC 61162-1 numbers the sentences
#            that belong together with a sequential identifier
# Behaviour  1. gpsdecode squares the field, which loses the sign.
#            2. ais-stream-decoder takes the root where it should square: 18 degrees a minute are 2, 709 are 5, and the
#               root of a negative number becomes null, as if it were not known.
#            3. Neither looks at the identifier: the first half of one ship's data and the second half of another's
#               become one message, the first ship with the other's destination.
# Seen       see `expected` below; nothing is raised
# Matters    whether a ship turns towards another is what the field is for. `gpsdecode -u` has the field itself. Still
#            so in the newest release of the package.
#
# Needs Debian 12 with what gpsd depends on, node and npm, and a package mirror. Ends with 1 when any of this is no
# longer so.
set -euo pipefail

readonly VERSION=3.22-4.1+deb12u1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq "gpsd-clients=$VERSION" "libgps28=$VERSION" libusb-1.0-0 libbluetooth3
for package in ./*.deb; do dpkg -x "$package" root; done
LD_LIBRARY_PATH=$(dirname "$work"/root/usr/lib/*/libgps.so.28):$(dirname "$work"/root/lib/*/libusb-1.0.so.0)
export LD_LIBRARY_PATH
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . ais-stream-decoder@2.1.2

cat >try.cjs <<'JS'
const { execFileSync } = require('node:child_process')
const AisDecoder = require('ais-stream-decoder').default

// Fields as pairs of a value and its bits; text has six bits for each character, "@" ends it.
const bits = (fields) =>
  fields.map(([value, size]) => BigInt.asUintN(size, BigInt(value)).toString(2).padStart(size, '0')).join('')
const text = (letters, size) => [...letters.padEnd(size / 6, '@')].map((letter) => [letter.charCodeAt(0) & 63, 6])
const armour = (all) =>
  all.match(/.{6}/g).map((six) => String.fromCharCode(parseInt(six, 2) + (six < '101000' ? 48 : 56))).join('')
function sentence(parts, part, id, payload, fill) {
  const body = `AIVDM,${parts},${part},${id},A,${payload},${fill}`
  const sum = Buffer.from(body).reduce((all, byte) => all ^ byte, 0)
  return `!${body}*${sum.toString(16).toUpperCase().padStart(2, '0')}`
}
const report = (turn) => [1, 2, 211000001, 0, turn, 50, 0, 6000000, 30000000, 900, 90, 15, 0, 0, 0, 0]
const sizes = [6, 2, 30, 4, 8, 10, 1, 28, 27, 12, 9, 6, 2, 3, 1, 19]
const turning = (turn) =>
  sentence(1, 1, '', armour(bits(report(turn).map((value, index) => [value, sizes[index]]))), 0)
function voyage(mmsi, name, destination, id) {
  const fields = [[5, 6], [0, 2], [mmsi, 30], [0, 2], [0, 30], ...text('', 42), ...text(name, 120), [70, 8], [0, 30]]
  fields.push([1, 4], [0, 20], [0, 8], ...text(destination, 120), [0, 2], [0, 2])
  const payload = armour(bits(fields))
  return [sentence(2, 1, id, payload.slice(0, 50), 0), sentence(2, 2, id, payload.slice(50), 2)]
}
const gpsd = (lines) => {
  const shown = execFileSync('root/usr/bin/gpsdecode', ['-j'], { input: `${lines.join('\n')}\n`, encoding: 'utf8' })
  return shown.split('\n').filter(Boolean).map(JSON.parse)
}
const decode = (lines) => {
  const decoder = new AisDecoder()
  const messages = []
  decoder.on('data', (message) => messages.push(JSON.parse(message)))
  for (const line of lines) decoder.write(line)
  return new Promise((done) => decoder.on('end', () => done(messages)).end())
}
;(async () => {
  const turns = [20, -20, 126, -126, 127, -127, -128, 0]
  const lines = turns.map(turning)
  const right = (turn) => Math.sign(turn) * Math.round((turn / 4.733) ** 2)
  const messages = await decode(lines)
  for (const [index, { turn }] of gpsd(lines).entries()) {
    const field = turns[index]
    const meant = field === -128 ? 'not known' : Math.abs(field) === 127 ? 'fast' : `${right(field)} degrees a minute`
    console.log(`${field}, ${meant}: gpsd ${turn}, package ${messages[index].rateOfTurn?.toFixed(1) ?? null}`)
  }
  const [first, second] = voyage(211000001, 'ALBATROS', 'HAMBURG', 1)
  const [other, last] = voyage(211000002, 'BUSSARD', 'OSLO', 2)
  for (const [what, given] of Object.entries({ 'both sentences': [first, second], 'one of each': [first, last] })) {
    const ship = ({ mmsi, shipname, name, destination }) => `${mmsi} ${shipname ?? name} ${destination}`
    const ships = (found) => found.map(ship)
    console.log(`${what}: gpsd ${ships(gpsd(given)) || 'nothing'}, package ${ships(await decode(given)) || 'nothing'}`)
  }
  console.log(`the other ship: gpsd ${gpsd([other, last]).map(({ mmsi, destination }) => `${mmsi} ${destination}`)}`)
})()
JS

cat >expected <<'TEXT'
20, 18 degrees a minute: gpsd 18, package 2.1
-20, -18 degrees a minute: gpsd 18, package null
126, 709 degrees a minute: gpsd 709, package 5.2
-126, -709 degrees a minute: gpsd 709, package null
127, fast: gpsd fastright, package 5.2
-127, fast: gpsd fastleft, package null
-128, not known: gpsd nan, package null
0, 0 degrees a minute: gpsd 0, package 0.0
both sentences: gpsd 211000001 ALBATROS HAMBURG, package 211000001 ALBATROS HAMBURG
one of each: gpsd 211000001 ALBATROS OSLO, package 211000001 ALBATROS OSLO
the other ship: gpsd 211000002 OSLO
TEXT
node try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
