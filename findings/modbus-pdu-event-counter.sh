#!/bin/bash
# modbus-pdu 1.14.1 (npm) reads the event counter of a Modbus device as 0 or 255, whatever it is.
#
# Setting    examples of MODBUS Application Protocol 1.1b3, sections 6.1 to 6.16: each response is read by the package,
#            and built by it again from what was read. Section 6.9: Get Comm Event Counter answers with a status of two
#            bytes, 0000 or ffff for busy, and a count of two bytes
# Behaviour  1. The status is the first byte and the count the second, which belongs to the status: 0 where the device
#               is idle, 255 where it is busy. It is built with one byte for each, the lower ones.
#            2. Write Multiple Coils: of ten coils in a request sixteen are handed over, the rest of the last byte too.
#            3. The same counter is right in Get Comm Event Log, and so are the other examples.
# Seen       see `expected` below; nothing is raised. modbus-stream 0.46.0 reads and answers by this package
# Matters    a master that compares the counter before and after a command, as it is meant, finds that nothing was done
#            and sends it again; a server that takes all values sets coils that nobody named. Still so in the newest
#            release.
#
# Needs node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . modbus-pdu@1.14.1

cat >try.cjs <<'JS'
const modbus = require('modbus-pdu')
const bytes = (hex) => Buffer.from(hex.replaceAll(' ', ''), 'hex')

// What the package reads of an example, as the arguments for building it.
const examples = [
  ['ReadCoils', '01 03 cd6b05', ({ data }) => [data]],
  ['ReadHoldingRegisters', '03 06 022b00000064', ({ data }) => [data]],
  ['WriteSingleCoil', '05 00ac ff00', ({ address, value }) => [address, value]],
  ['WriteMultipleRegisters', '10 0001 0002', ({ address, quantity }) => [address, quantity]],
  ['ReadFileRecord', '14 0c 05 06 0dfe0020 05 06 33cd0040', ({ data }) => [data]],
  ['MaskWriteRegister', '16 0004 00f2 0025', ({ address, andmask, ormask }) => [address, andmask, ormask]],
  ['GetCommEventCounter', '0b ffff 0108', ({ status, event_count }) => [status, event_count]],
  ['GetCommEventCounter', '0b 0000 0108', ({ status, event_count }) => [status, event_count]],
  [
    'GetCommEventLog',
    '0c 08 0000 0108 0121 2000',
    ({ status, event_count, message_count, events }) => [status, event_count, message_count, events],
  ],
]
for (const [name, hex, args] of examples) {
  const read = modbus.Response(bytes(hex))
  const again = modbus[name].Response.build(...args(read))
  const counter = read.event_count === undefined ? '' : `: count ${read.event_count}`
  const same = again.equals(bytes(hex))
  console.log(`${name} ${hex}${counter}, ${same ? 'the same again' : `again ${again.toString('hex')}`}`)
}
console.log(`status ffff, count 264: ${modbus.GetCommEventCounter.Response.build(0xffff, 264).toString('hex')}`)
const { quantity, values } = modbus.Request(bytes('0f 0013 000a 02 cd01'))
console.log(`WriteMultipleCoils 0f 0013 000a 02 cd01: ${quantity} coils, ${values.length} values`)
JS

cat >expected <<'TEXT'
ReadCoils 01 03 cd6b05, the same again
ReadHoldingRegisters 03 06 022b00000064, the same again
WriteSingleCoil 05 00ac ff00, the same again
WriteMultipleRegisters 10 0001 0002, the same again
ReadFileRecord 14 0c 05 06 0dfe0020 05 06 33cd0040, the same again
MaskWriteRegister 16 0004 00f2 0025, the same again
GetCommEventCounter 0b ffff 0108: count 255, again 0bffff
GetCommEventCounter 0b 0000 0108: count 0, again 0b0000
GetCommEventLog 0c 08 0000 0108 0121 2000: count 264, the same again
status ffff, count 264: 0bff08
WriteMultipleCoils 0f 0013 000a 02 cd01: 10 coils, 16 values
TEXT
node try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
