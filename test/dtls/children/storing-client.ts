// A client with a session store that sends numbers and counts their echoes until it is killed. Arguments: its key
// and the sealing key in hexadecimal, the server's port, the store's folder, `ids` or `no-ids`, what its messages
// begin with, and the version.
import { connect } from '../../../src/dtls/index.js'

const [key = '', sealingKey = '', port = '', store = '', ids = '', prefix = '', version = ''] =
  process.argv.slice(2)
const socket = connect({
  host: '127.0.0.1',
  port: Number(port),
  psk: { identity: 'Client1', key: Buffer.from(key, 'hex') },
  connectionId: ids === 'ids',
  minVersion: version as 'DTLSv1.3',
  sessionStore: { store, sealingKey: Buffer.from(sealingKey, 'hex') },
})
await socket.opened
process.stdout.write(`open ${socket.isSessionReused()}\n`)
let echoed = 0
let sent = 0
socket.on('message', () => {
  echoed += 1
  if (echoed === 100) process.stdout.write('echoed 100\n')
})
setInterval(() => socket.send(`${prefix}${sent++}`), 2)
