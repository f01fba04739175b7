#!/bin/bash
# lwm2m-codec 0.1.1 (npm) cannot say 128 to 255, and takes integers with several instances for text.
#
# Setting    the TLV format of LwM2M 1.0 (OMA-TS-LightweightM2M section 6.4.3), resources of object 3 (Device)
# Behaviour  1. An integer is written in 1, 2 or 4 bytes, signed. The library picks the size as if it were unsigned:
#               127 and 256 are written, 128 to 255 raise a RangeError; so do 32,768 to 65,535, and 2^31 to 2^32 - 1,
#               which for the resource Current Time are the years from 2038 on.
#            2. A single integer comes back as a number. In a resource with instances (Power Source Voltage, 3800 mV
#               and 5000 mV) it is written as decimal text, and what a conforming device sends (2 bytes each: 0ed8,
#               1388) is read as text of two characters.
# Seen       see `expected` below
# Matters    a gateway that carries LwM2M over DTLS hands on wrong voltages without an error.
#
# Needs node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . lwm2m-codec@0.1.1

cat >try.cjs <<'JS'
const codec = require('lwm2m-codec')
const bytes = (hex) => Buffer.from(hex, 'hex')
function shown(make) {
  try {
    const value = make()
    return Buffer.isBuffer(value) ? value.toString('hex') : JSON.stringify(value).replace(/[^ -~]/g, '?')
  } catch (error) {
    return error.name
  }
}
const resource = { level: '/3/0/9', time: '/3/0/13', voltage: '/3/0/7' }
for (const value of [127, 128, 255, 256, 32767, 32768, 65536])
  console.log(`level ${value}: ${shown(() => codec.encode('tlv', resource.level, value))}`)
for (const year of [2037, 2039]) {
  const seconds = Date.UTC(year, 0, 1) / 1000
  console.log(`time ${year}: ${shown(() => codec.encode('tlv', resource.time, seconds))}`)
}
console.log(`one voltage: ${shown(() => codec.decode('tlv', resource.voltage, bytes('c2070ed8')))}`)
console.log(`two voltages: ${shown(() => codec.decode('tlv', '/3/0', bytes('880708' + '42000ed8' + '42011388')))}`)
console.log(`two voltages written: ${shown(() => codec.encode('tlv', resource.voltage, { 0: 3800, 1: 5000 }))}`)
JS

cat >expected <<'TEXT'
level 127: c1097f
level 128: RangeError
level 255: RangeError
level 256: c2090100
level 32767: c2097fff
level 32768: RangeError
level 65536: c40900010000
time 2037: c40d7e06e400
time 2039: RangeError
one voltage: 3800
two voltages: {"pwrSrcVoltage":{"0":"\u000e?","1":"\u0013?"}}
two voltages written: 88070c440033383030440135303030
TEXT
node try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
