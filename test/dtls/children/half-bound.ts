// Listens with sixteen I/O threads while the process runs out of descriptors, a little later each time.
import { closeSync, openSync } from 'node:fs'
import { createServer } from '../../../src/dtls/index.js'

const port = Number(process.argv[2])
const listen = (): Promise<Error | undefined> =>
  new Promise((resolve) => {
    const server = createServer({ psk: {}, ioThreads: 16 })
    server.on('error', resolve)
    server.on('listening', () => void server.close().then(() => resolve(undefined)))
    server.listen(port, '127.0.0.1')
  })

// Loads the addon, and all that opens files.
await listen()
let failures = 0
for (let spare = 1; spare <= 33; spare += 4) {
  const taken: number[] = []
  try {
    for (;;) taken.push(openSync('/dev/null', 'r'))
  } catch {
    for (const descriptor of taken.splice(-spare)) closeSync(descriptor)
  }
  const error = await listen()
  for (const descriptor of taken) closeSync(descriptor)
  if (error) failures += 1
  // What was bound before the failure must be free again, also for a socket that shares nothing.
  const alone = createServer({ psk: {} })
  await new Promise<void>((resolve, reject) => {
    alone.on('error', reject)
    alone.on('listening', () => resolve(alone.close()))
    alone.listen(port, '127.0.0.1')
  })
}
process.stdout.write(JSON.stringify({ failures, listened: (await listen()) === undefined }))
