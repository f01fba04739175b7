// A DTLS echo server at the far end of a slow network: in its own network namespace, which its parent
// connects. Prints a line once it listens.

import * as dtls from '../../../src/dtls/index.js'

const [port = '', key = ''] = process.argv.slice(2)
const server = dtls.createServer({ psk: { slow: Buffer.from(key, 'hex') } }, (socket) => {
  socket.on('message', (message) => socket.send(message))
})
server.listen(Number(port), '0.0.0.0')
server.on('listening', () => console.log('listening'))
setTimeout(() => process.exit(), 60_000)
