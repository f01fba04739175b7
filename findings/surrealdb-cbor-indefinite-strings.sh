#!/bin/bash
# @surrealdb/cbor 2.0.0-alpha.4 (npm) fills every string of indefinite length up with zeros to 256 bytes.
#
# Setting    strings that are sent in chunks, ended by ff (RFC 8949 section 3.2.3); the first two are examples of
#            appendix A. The package `cbor` 10.0.12 reads the same bytes. 2.0.0-alpha.4 is the release that npm installs
# Behaviour  the chunks are gathered in a buffer of 256 bytes that doubles, and the whole buffer is the result: text
#            with zero characters after it, also as a key of a map. Strings with their length in front, and arrays and
#            maps of indefinite length, are right.
# Seen       see `expected` below; nothing is raised
# Matters    a small device that sends a text before it knows how long it will be uses such strings. A digest over the
#            bytes is wrong, a key is not found, and two texts that look alike when printed differ.
#
# Needs node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . @surrealdb/cbor@2.0.0-alpha.4 cbor@10.0.12

cat >try.mjs <<'JS'
import { decode } from '@surrealdb/cbor'
import cbor from 'cbor'

const inputs = {
  '(_ "strea", "ming")': '7f657374726561646d696e67ff',
  "(_ h'0102', h'030405')": '5f42010243030405ff',
  '(_ ) of text': '7fff',
  '"streaming"': '6973747265616d696e67',
  '{(_ "key"): 1}': 'a17f636b6579ff01',
  "(_ h'00' * 255, h'0102')": `5f58ff${'00'.repeat(255)}420102ff`,
}
const zeros = (text) => text.replace(/(00){8,}$/, (found) => ` and ${found.length / 2} zeros`)
const shown = (value) => {
  if (typeof value === 'string') return `text ${zeros(Buffer.from(value).toString('hex'))}`
  if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return `bytes, ${value.byteLength} of them`
  return `map with ${shown(Object.keys(value)[0])}`
}
for (const [what, hex] of Object.entries(inputs)) {
  const bytes = Buffer.from(hex, 'hex')
  console.log(`${what}: cbor ${shown(cbor.decodeFirstSync(bytes))}; @surrealdb/cbor ${shown(decode(bytes))}`)
}
JS

cat >expected <<'TEXT'
(_ "strea", "ming"): cbor text 73747265616d696e67; @surrealdb/cbor text 73747265616d696e67 and 247 zeros
(_ h'0102', h'030405'): cbor bytes, 5 of them; @surrealdb/cbor bytes, 256 of them
(_ ) of text: cbor text ; @surrealdb/cbor text  and 256 zeros
"streaming": cbor text 73747265616d696e67; @surrealdb/cbor text 73747265616d696e67
{(_ "key"): 1}: cbor map with text 6b6579; @surrealdb/cbor map with text 6b6579 and 253 zeros
(_ h'00' * 255, h'0102'): cbor bytes, 257 of them; @surrealdb/cbor bytes, 512 of them
TEXT
node try.mjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
