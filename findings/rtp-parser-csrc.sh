#!/bin/bash
# rtp-parser 1.0.0 (npm) makes contributing sources up, and hands headers and padding over as sound.
#
# Setting    RTP packets (RFC 3550 section 5.1): twelve bytes, then one contributing source of four bytes for each that
#            is counted, then an extension if the bit X is set (section 5.3.1), then the payload; if the bit P is set,
#            its last byte says how many bytes of padding end it. rtp.js 0.15.5 reads the same packets
# Behaviour  1. Contributing sources are read from the tenth byte on instead of the thirteenth: the first begins with
#               the last three bytes of the packet's own source, and each takes a byte of its successor.
#            2. An extension is at the front of the payload. Every packet of WebRTC with audio levels has one
#               (RFC 6464).
#            3. Padding is at the end of the payload.
# Seen       see `expected` below; nothing is raised
# Matters    what SRTP protects (keyed by DTLS, RFC 5764) is decoded wrong after it was decrypted right, and a mixer
#            names speakers who do not exist. Still so in the newest release.
#
# Needs node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . rtp-parser@1.0.0 rtp.js@0.15.5

cat >try.cjs <<'JS'
const { packets } = require('rtp.js')
const { parseRtpPacket } = require('rtp-parser')

const hex = (view) => Buffer.from(view.buffer ?? view, view.byteOffset, view.byteLength).toString('hex')
const sources = (list) => list.map((source) => source.toString(16)).join(' ') || 'none'
const inputs = {
  plain: '8000 0001 00000010 aabbccdd 11223344',
  'two contributing sources': '8200 0001 00000010 aabbccdd 01020304 05060708 11223344',
  extension: '9000 0001 00000010 aabbccdd bede0001 10ff0000 11223344',
  padding: 'a000 0001 00000010 aabbccdd 11223344 00000004',
}
for (const [what, text] of Object.entries(inputs)) {
  const bytes = Buffer.from(text.replaceAll(' ', ''), 'hex')
  const right = new packets.RtpPacket(new DataView(bytes.buffer, bytes.byteOffset, bytes.length))
  const got = parseRtpPacket(bytes)
  console.log(`${what}: sources ${sources(right.getCsrcs())}, payload ${hex(right.getPayload())}`)
  console.log(`  rtp-parser: sources ${sources(got.csrc)}, payload ${hex(got.payload)}`)
}
JS

cat >expected <<'TEXT'
plain: sources none, payload 11223344
  rtp-parser: sources none, payload 11223344
two contributing sources: sources 1020304 5060708, payload 11223344
  rtp-parser: sources bbccdd01 2030405, payload 11223344
extension: sources none, payload 11223344
  rtp-parser: sources none, payload bede000110ff000011223344
padding: sources none, payload 11223344
  rtp-parser: sources none, payload 1122334400000004
TEXT
node try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
