#!/bin/bash
# extended-nmea 2.1.3 and nmea-simple 3.3.0 (npm) read other fractions of a second than a receiver sent.
#
# Setting    times in sentences of NMEA 0183 (hhmmss and a fraction, whose number of digits is the receiver's choice):
#            RMC and GGA with fractions of one to four digits, read by both packages and by gps 0.9.0
# Behaviour  1. extended-nmea takes two digits for milliseconds: half a second, "50", is 50 ms. It refuses one digit and
#               four. Three digits are right.
#            2. nmea-simple reads a fraction in RMC if it has two digits, and drops it otherwise; in GGA it reads all,
#               so that the two sentences of one fix have two times.
# Seen       see `expected` below
# Matters    two digits are what many receivers send. Positions of a moving thing are up to 0.9 seconds off: at 10 fixes
#            a second they stand in another order; a clock that is set by them jumps. Still so in the newest releases.
#
# Needs node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . extended-nmea@2.1.3 nmea-simple@3.3.0 gps@0.9.0

cat >try.cjs <<'JS'
const { Decoder } = require('extended-nmea')
const { parseNmeaSentence } = require('nmea-simple')
const Gps = require('gps')

function sentence(body) {
  const sum = Buffer.from(body).reduce((all, byte) => all ^ byte, 0)
  return `$${body}*${sum.toString(16).toUpperCase().padStart(2, '0')}`
}
const seconds = (time) => ((time % 60_000) / 1000).toFixed(3)
function shown(read) {
  try {
    return seconds(read())
  } catch (error) {
    return `"${error.message}"`
  }
}
for (const fraction of ['', '.5', '.50', '.05', '.500', '.999', '.1234']) {
  const rmc = sentence(`GPRMC,123509${fraction},A,4807.038,N,01131.000,E,0.0,90.0,301126,3.1,E,A`)
  const gga = sentence(`GPGGA,123509${fraction},4807.038,N,01131.000,E,1,08,0.9,545.4,M,46.9,M,,`)
  console.log(`09${fraction}: gps ${seconds(Gps.Parse(rmc).time)} ${seconds(Gps.Parse(gga).time)}`)
  console.log(`  extended-nmea ${shown(() => Decoder.decode(`${rmc}\r\n`).time.totalMilliseconds)}`)
  const times = [() => parseNmeaSentence(rmc).datetime, () => parseNmeaSentence(gga).time]
  console.log(`  nmea-simple ${times.map(shown).join(' ')}`)
}
JS

cat >expected <<'TEXT'
09: gps 9.000 9.000
  extended-nmea 9.000
  nmea-simple 9.000 9.000
09.5: gps 9.500 9.500
  extended-nmea "Expected data formatted as 'hhmmss.sss' or 'hhmmss', but found 8 characters"
  nmea-simple 9.000 9.500
09.50: gps 9.500 9.500
  extended-nmea 9.050
  nmea-simple 9.500 9.500
09.05: gps 9.050 9.050
  extended-nmea 9.005
  nmea-simple 9.050 9.050
09.500: gps 9.500 9.500
  extended-nmea 9.500
  nmea-simple 9.000 9.500
09.999: gps 9.999 9.999
  extended-nmea 9.999
  nmea-simple 9.000 9.999
09.1234: gps 9.123 9.123
  extended-nmea "Expected data formatted as 'hhmmss.sss' or 'hhmmss', but found 11 characters"
  nmea-simple 9.000 9.123
TEXT
node try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
