#!/bin/bash
# @balena/proxy-protocol-parser 1.0.2 (npm) writes headers of PROXY protocol 2 that say LOCAL and 3,072 bytes.
#
# Setting    HAProxy 2.6 (Debian 12) on loopback with `accept-proxy` tells whom it takes for the client. It is sent the
#            headers of both versions that the package writes, and that of proxy-protocol-js 4.0.6, for one connection.
#            PROXY protocol specification section 2.2: a version and a command, where 0 is LOCAL (forget the addresses)
#            and 1 PROXY, then family and protocol, then the length of the rest as two bytes, the higher first
# Behaviour  1. The length, 12, is put into the first of its two bytes: 0c 00 is 3,072. HAProxy waits for the rest of
#               the header, and ends the connection.
#            2. The command is 0: a receiver has to take the proxy for the client.
#            3. decode() of the package looks at neither, so that it reads what it wrote. Version 1 is right.
# Seen       see `expected` below; nothing is raised by the package
# Matters    a proxy that hands the address of a device on by this package works before a server that reads it by this
#            package, and before no other. Still so in the newest release.
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
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . \
  @balena/proxy-protocol-parser@1.0.2 proxy-protocol-js@4.0.6

cat >haproxy.cfg <<CFG
defaults
  mode http
  timeout connect 5s
  timeout client 5s
  timeout server 5s
frontend in
  bind unix@$work/in.sock accept-proxy
  http-request return status 200 content-type text/plain lf-string "%[src]:%[src_port]"
CFG
root/usr/sbin/haproxy -db -f haproxy.cfg >haproxy.log 2>&1 &
proxy=$!
for _ in {1..50}; do [ -S in.sock ] && break; sleep 0.1; done

cat >try.cjs <<'JS'
const { connect } = require('node:net')
const balena = require('@balena/proxy-protocol-parser')
const js = require('proxy-protocol-js')

const ask = (header) =>
  new Promise((done) => {
    let answer = ''
    const request = Buffer.from('GET / HTTP/1.0\r\n\r\n')
    const socket = connect('in.sock', () => socket.write(Buffer.concat([header, request])))
    socket.on('error', () => {}).on('data', (bytes) => (answer += bytes))
    socket.on('close', () => done(answer.split('\r\n\r\n')[1] ?? 'no answer'))
  })
const client = { remoteFamily: 'IPv4', remoteAddress: '192.0.2.1', remotePort: 1234 }
const ends = { ...client, localAddress: '198.51.100.1', localPort: 5684 }
const [from, to] = [[192, 0, 2, 1], [198, 51, 100, 1]].map((bytes) => js.IPv4Address.createFrom(bytes))
const { Command, TransportProtocol, IPv4ProxyAddress, V2ProxyProtocol } = js
const address = new IPv4ProxyAddress(from, 1234, to, 5684)
const headers = {
  'balena, version 1': balena.v1_encode(ends),
  'balena, version 2': balena.v2_encode(ends),
  'proxy-protocol-js, version 2': Buffer.from(
    new V2ProxyProtocol(Command.PROXY, TransportProtocol.STREAM, address).build(),
  ),
}
;(async () => {
  for (const [what, header] of Object.entries(headers)) {
    console.log(`${what}: ${what.endsWith('2') ? header.toString('hex') : JSON.stringify(`${header}`)}`)
    const { remoteAddress, remotePort } = balena.decode(header)
    console.log(`  haproxy: ${await ask(header)}; balena: ${remoteAddress}:${remotePort}`)
  }
})()
JS

cat >expected <<'TEXT'
balena, version 1: "PROXY TCP4 192.0.2.1 198.51.100.1 1234 5684\r\n"
  haproxy: 192.0.2.1:1234; balena: 192.0.2.1:1234
balena, version 2: 0d0a0d0a000d0a515549540a20110c00c0000201c633640104d21634
  haproxy: no answer; balena: 192.0.2.1:1234
proxy-protocol-js, version 2: 0d0a0d0a000d0a515549540a2111000cc0000201c633640104d21634
  haproxy: 192.0.2.1:1234; balena: 192.0.2.1:1234
TEXT
timeout 60 node try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
