#!/bin/bash
# proxy-protocol-js 4.0.6 (npm) hands extensions of a PROXY protocol 2 header over as what the client sent.
#
# Setting    HAProxy 2.6 (Debian 12) on loopback passes a connection on with `send-proxy-v2`, once without and twice
#            with `proxy-v2-options`; the client sends "hello". PROXY protocol specification section 2.2: the header has
#            a length, and after the addresses come extensions (type, length, value) up to that length; a receiver skips
#            those that it does not know
# Behaviour  1. parse() checks that the length is not too small, and does not use it further. Its `data`, which is what
#               follows the header in version 1 and where there is no extension, begins with the extensions.
#            2. build() writes the length of the addresses whatever follows, so that it cannot write an extension.
# Seen       see `expected` below; nothing is raised
# Matters    load balancers add extensions unasked. The server behind one takes them for the first bytes of a TLS or
#            MQTT connection, and refuses it. Still so in the newest release.
#
# Needs Debian 12 with what haproxy depends on, node and npm, and a package mirror. Ends with 1 when any of this is no
# longer so.
set -euo pipefail

readonly VERSION=2.6.12-1+deb12u4
work=$(mktemp -d)
proxy=
trap '[ -z "$proxy" ] || kill "$proxy"; rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq "haproxy=$VERSION" liblua5.3-0 libopentracing-c-wrapper0 libopentracing1
for package in ./*.deb; do dpkg -x "$package" root; done
LD_LIBRARY_PATH=$(dirname root/usr/lib/*/liblua5.3.so.0)
export LD_LIBRARY_PATH
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . proxy-protocol-js@4.0.6

port=$((20000 + RANDOM % 20000))
cat >haproxy.cfg <<CFG
defaults
  mode tcp
  timeout connect 5s
  timeout client 5s
  timeout server 5s
listen plain
  bind 127.0.0.1:$port
  server behind unix@$work/behind.sock send-proxy-v2
listen crc32c
  bind 127.0.0.1:$((port + 1))
  server behind unix@$work/behind.sock send-proxy-v2 proxy-v2-options crc32c
listen unique-id
  bind 127.0.0.1:$((port + 2))
  unique-id-format meter-7
  server behind unix@$work/behind.sock send-proxy-v2 proxy-v2-options unique-id
CFG
root/usr/sbin/haproxy -db -f haproxy.cfg >haproxy.log 2>&1 &
proxy=$!

cat >try.cjs <<'JS'
const { connect, createServer } = require('node:net')
const { V2ProxyProtocol } = require('proxy-protocol-js')

const port = Number(process.argv[2])
const server = createServer()
// HAProxy may not listen yet.
const client = (at) => {
  const socket = connect(at, '127.0.0.1', () => socket.write('hello'))
  socket.on('error', () => setTimeout(client, 100, at))
}
const received = (at) =>
  new Promise((done) => {
    server.once('connection', (socket) => {
      let all = Buffer.alloc(0)
      socket.on('data', (bytes) => {
        all = Buffer.concat([all, bytes])
        if (all.toString('latin1').endsWith('hello')) done(all)
      })
    })
    client(at)
  })
server.listen('behind.sock', async () => {
  for (const [index, options] of ['no extension', 'crc32c', 'unique-id'].entries()) {
    const bytes = await received(port + index)
    const { proxyAddress, data } = V2ProxyProtocol.parse(bytes)
    const right = bytes.subarray(16 + bytes.readUInt16BE(14))
    // A checksum covers the port of the client, which is another one each time.
    const text = (part) => JSON.stringify(Buffer.from(part).toString('latin1').replace(/^(\x03\0\x04)[^]{4}/, '$1****'))
    const from = proxyAddress.sourceAddress.address.join('.')
    console.log(`${options}: from ${from}, data ${text(data)}; the client sent ${text(right)}`)
  }
  process.exit()
})
JS

cat >expected <<'TEXT'
no extension: from 127.0.0.1, data "hello"; the client sent "hello"
crc32c: from 127.0.0.1, data "\u0003\u0000\u0004****hello"; the client sent "hello"
unique-id: from 127.0.0.1, data "\u0005\u0000\u0007meter-7hello"; the client sent "hello"
TEXT
timeout 60 node try.cjs "$port" >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
