#!/bin/bash
# node-hkdf-sync 1.0.0 (npm) derives another key than HKDF from the 128th block on.
#
# Setting    HKDF (RFC 5869 section 2.3): each block of output is an HMAC over the block before, the info and a counter
#            of one byte, from 1 to 255. `hkdfSync` of Node and the package `hkdf` 0.0.2, of which
#            node-hkdf-sync is a copy without callbacks, beside it
# Behaviour  the counter goes through text: from 128 on it is two bytes of UTF-8. With SHA-1 the first 2,540 bytes are
#            right and all after them are not; with SHA-256 it is 4,064, with SHA-512 8,128. The examples of the RFC
#            have at most 82 bytes and agree.
# Seen       see `expected` below: how many bytes from the beginning are those of Node; nothing is raised
# Matters    a program that cuts the keys of many devices out of one long output has the right ones for the first 127
#            and, for the others, keys that no other program derives. Still so in the newest release.
#
# Needs node and npm. Ends with 1 when any of this is no longer so.
set -euo pipefail

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . node-hkdf-sync@1.0.0 hkdf@0.0.2

cat >try.cjs <<'JS'
const { hkdfSync } = require('node:crypto')
const Hkdf = require('hkdf')
const HkdfSync = require('node-hkdf-sync')

const derive = {
  hkdf: (hash, length) => new Promise((done) => new Hkdf(hash, 'salt', 'key').derive('info', length, done)),
  'node-hkdf-sync': (hash, length) => new HkdfSync(hash, 'salt', 'key').derive('info', length),
}
;(async () => {
  for (const [hash, size] of Object.entries({ sha1: 20, sha256: 32, sha512: 64 }))
    for (const length of [127 * size, 127 * size + 1, 255 * size]) {
      const right = Buffer.from(hkdfSync(hash, 'key', 'salt', 'info', length))
      const same = []
      for (const name in derive) {
        const got = await derive[name](hash, length)
        const first = right.findIndex((byte, at) => byte !== got[at])
        same.push(`${name} ${first < 0 ? 'all' : first}`)
      }
      console.log(`${hash}, ${length} bytes: ${same.join(', ')}`)
    }
})()
JS

cat >expected <<'TEXT'
sha1, 2540 bytes: hkdf all, node-hkdf-sync all
sha1, 2541 bytes: hkdf all, node-hkdf-sync 2540
sha1, 5100 bytes: hkdf all, node-hkdf-sync 2540
sha256, 4064 bytes: hkdf all, node-hkdf-sync all
sha256, 4065 bytes: hkdf all, node-hkdf-sync 4064
sha256, 8160 bytes: hkdf all, node-hkdf-sync 4064
sha512, 8128 bytes: hkdf all, node-hkdf-sync all
sha512, 8129 bytes: hkdf all, node-hkdf-sync 8128
sha512, 16320 bytes: hkdf all, node-hkdf-sync 8128
TEXT
node --no-deprecation try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
