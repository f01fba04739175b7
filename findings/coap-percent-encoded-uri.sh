#!/bin/bash
# coap 1.5.0 and node-coap-client 2.1.0 (npm) send "%20" of a URI as these three characters; libcoap sends a space.
#
# Setting    GET coap://127.0.0.1:<port>/a%2Fb/c%20d?e=%26 over UDP from three clients: coap-client of libcoap 4.3.1
#            (Debian 12), `coap` and `node-coap-client`; a socket prints the options that arrive. RFC 7252 section 6.4
#            makes one Uri-Path of each segment and one Uri-Query of each argument, with every percent-encoding turned
#            into its byte; section 6.5 goes the other way
# Behaviour  1. `coap` leaves path and query as they stand, `node-coap-client` the path; and its query "?e" goes out
#               as "e=".
#            2. A server of `coap` does not encode again: a segment "a/b" looks like two segments in `url`.
#            3. The two halves of `coap` agree with each other, so tests within one program find nothing.
# Seen       see `expected` below
# Matters    a resource with a space, a slash or an umlaut in its name is 4.04 for one client and there for the other,
#            over DTLS too. The authors of coap-cli met it in 2016; still so in the newest releases of both packages.
#
# Needs Debian 12 with node and npm, and a package mirror. Ends with 1 when any of this is no longer so.
set -euo pipefail

readonly VERSION=4.3.1-1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
apt-get download -qq "libcoap3-bin=$VERSION" "libcoap3=$VERSION"
for package in ./*.deb; do dpkg -x "$package" root; done
LIBCOAP_LIBRARY=$(dirname "$work"/root/usr/lib/*/libcoap-3-notls.so.3)
export LIBCOAP_LIBRARY
npm install --silent --no-audit --no-fund --ignore-scripts --prefix . \
  coap@1.5.0 node-coap-client@2.1.0 coap-packet@1.1.1

cat >try.cjs <<'JS'
const { createSocket } = require('node:dgram')
const { execFile } = require('node:child_process')
const coap = require('coap')
const packet = require('coap-packet')
const { CoapClient } = require('node-coap-client')

const env = { ...process.env, LD_LIBRARY_PATH: process.env.LIBCOAP_LIBRARY }
const libcoap = (url) =>
  new Promise((done) => execFile('root/usr/bin/coap-client-notls', ['-B', '3', url], { env, timeout: 5000 }, done))
const clients = {
  libcoap,
  coap: (url) =>
    new Promise((done, fail) => {
      const request = coap.request(url)
      request.on('response', (response) => response.resume().on('end', done))
      request.on('error', fail).end()
    }),
  'node-coap-client': (url) => CoapClient.request(url, 'get', undefined, { keepAlive: false }),
}

let from = ''
const socket = createSocket('udp4')
socket.on('message', (bytes, { port, address }) => {
  const { options, messageId, token } = packet.parse(bytes)
  const all = (name) => options.filter((option) => option.name === name).map(({ value }) => `${value}`)
  console.log(`${from}: path ${JSON.stringify(all('Uri-Path'))} query ${JSON.stringify(all('Uri-Query'))}`)
  socket.send(packet.generate({ ack: true, code: '2.05', messageId, token, payload: Buffer.from('ok') }), port, address)
})
socket.bind(0, '127.0.0.1', async () => {
  for (const path of ['/a%2Fb/c%20d?e=%26', '/x?e'])
    for (from in clients) await clients[from](`coap://127.0.0.1:${socket.address().port}${path}`)
  const server = coap.createServer((request, response) => {
    console.log(`server of coap, asked by ${from}: ${request.url}`)
    response.end('ok')
  })
  const port = socket.address().port
  socket.close(() =>
    server.listen(port, '127.0.0.1', async () => {
      for (from of ['libcoap', 'coap']) await clients[from](`coap://127.0.0.1:${port}/a%2Fb/c%20d?e=%26`)
      process.exit()
    }),
  )
})
JS

cat >expected <<'TEXT'
libcoap: path ["a/b","c d"] query ["e=&"]
coap: path ["a%2Fb","c%20d"] query ["e=%26"]
node-coap-client: path ["a%2Fb","c%20d"] query ["e=&"]
libcoap: path ["x"] query ["e"]
coap: path ["x"] query ["e"]
node-coap-client: path ["x"] query ["e="]
server of coap, asked by libcoap: /a/b/c d?e=&
server of coap, asked by coap: /a%2Fb/c%20d?e=%26
TEXT
timeout 60 node try.cjs >seen
cat seen
diff expected seen && exit 0
echo 'expected something else, see above' >&2
exit 1
