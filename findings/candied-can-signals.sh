#!/bin/bash
# candied 2.2.0 (npm) reads signals of a CAN frame in big-endian order from other bits, and floats as integers.
#
# Setting    a database in the DBC format and one frame for each of its messages; beside each signal what its bits are.
#            In a DBC file the first number of a signal is the bit where it begins: with `@1` (Intel) the lowest one,
#            with `@0` (Motorola) the highest one, from where it goes down through the byte and on at bit 7 of the next;
#            SIG_VALTYPE_ 1 is an IEEE 754 float; VAL_ names raw values; `m0` is there if the multiplexer `M` is 0; an
#            identifier with bit 31 set is one of 29 bits
# Behaviour  1. A signal in Motorola order is read as if its first bit were its lowest: NaN, or bits of other signals.
#            2. A float is read as the integer with the same bits, although the parser calls its type "float".
#            3. A name is looked up with the value after scaling: with the factor 0.5, the raw 4 has the name of 2.
#            4. Signals of all multiplexer values are there.
#            5. A frame of 29 bits is found only if bit 31 is put into its identifier.
# Seen       see `expected` below; nothing is raised. Signals in Intel order are right, also across bytes
# Matters    a gateway for vehicles or engines (J1939 is Intel, many others are Motorola) reports speeds and
#            temperatures that nobody measured. Still so in the newest release.
#
# Needs node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . candied@2.2.0

cat >gateway.dbc <<'DBC'
VERSION ""

NS_ :

BS_:

BU_: Node

BO_ 100 Engine: 8 Node
 SG_ Speed : 7|16@0+ (1,0) [0|0] "rpm" Node
 SG_ Level : 16|16@1+ (1,0) [0|0] "" Node
 SG_ Torque : 39|16@0- (1,0) [0|0] "Nm" Node
 SG_ Temperature : 55|8@0- (1,0) [0|0] "C" Node

BO_ 101 Pressure: 8 Node
 SG_ Bar : 0|32@1- (1,0) [0|0] "bar" Node

BO_ 102 State: 8 Node
 SG_ Gear : 0|8@1+ (0.5,0) [0|0] "" Node

BO_ 103 Choice: 8 Node
 SG_ Mode M : 0|8@1+ (1,0) [0|0] "" Node
 SG_ Volts m0 : 8|16@1+ (1,0) [0|0] "V" Node
 SG_ Amperes m1 : 8|16@1+ (1,0) [0|0] "A" Node

BO_ 2566844926 Vehicle: 8 Node
 SG_ Switch : 0|8@1+ (1,0) [0|0] "" Node

VAL_ 102 Gear 4 "second" 2 "first" ;
SIG_VALTYPE_ 101 Bar : 1;
DBC

cat >try.cjs <<'JS'
const { readFileSync } = require('node:fs')
const { Can, Dbc } = require('candied')

const can = new Can()
can.database = new Dbc().load(readFileSync('gateway.dbc', 'utf8'))
function shown(id, hex, right, extended = false) {
  const message = can.decode(can.createFrame(id, [...Buffer.from(hex, 'hex')], extended))
  const signals = message ? [...message.boundSignals] : []
  const got = signals.map(([name, signal]) => `${name} ${signal.physValue}`).join(', ') || 'nothing'
  console.log(`${hex}: ${right}\n  candied: ${got}`)
}
shown(100, '012c3412fffef000', 'Speed 300 rpm, Level 4660, Torque -2 Nm, Temperature -16 C')
shown(101, '0000c03f00000000', 'Bar 1.5 bar')
shown(102, '0400000000000000', 'Gear second')
shown(103, '01e6000000000000', 'Mode 1, Amperes 230 A')
shown(0x18fef1fe, '0100000000000000', 'Switch 1', true)
shown(0x98fef1fe, '0100000000000000', 'Switch 1, with bit 31 in the identifier', true)
JS

cat >expected <<'TEXT'
012c3412fffef000: Speed 300 rpm, Level 4660, Torque -2 Nm, Temperature -16 C
  candied: Speed NaN rpm, Level 4660, Torque 26661 Nm, Temperature -3 C
0000c03f00000000: Bar 1.5 bar
  candied: Bar 1069547520 bar
0400000000000000: Gear second
  candied: Gear first
01e6000000000000: Mode 1, Amperes 230 A
  candied: Mode 1, Volts 230 V, Amperes 230 A
0100000000000000: Switch 1
  candied: nothing
0100000000000000: Switch 1, with bit 31 in the identifier
  candied: Switch 1
TEXT
node try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
