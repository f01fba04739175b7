// A server workload in its own process, so that it can be stopped (SIGSTOP). Joins by what its first
// argument says, serves TLS, and tells on stdout what happens.

import { createLauncherAttester, join } from '../../../src/consent/index.js'

const { socketPath, ...settings } = JSON.parse(`${process.argv[2]}`)
const say = (event: object): void => console.log(JSON.stringify(event))

const network = await join({
  ...settings,
  attester: createLauncherAttester({ socketPath, kind: 'local' }),
})
const server = network.tls.createServer({}, (socket) => {
  socket.on('error', (error) => say({ closed: (error as { code?: string }).code }))
  socket.on('data', (data) => say({ data: `${data}` }))
})
server.listen(0, '127.0.0.1', () => say({ listening: server.address() }))
say({ ended: await network.ended })
