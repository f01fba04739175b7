// Several worker threads with DTLS at once: some finish, some are terminated in the middle of traffic.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'

const script = new URL('./echo-worker.ts', import.meta.url)
const begin = (rounds: number, ioThreads: number): Worker =>
  new Worker(
    `import('tsx/esm/api').then(({ register }) => { register(); return import('${script}') })`,
    {
      eval: true,
      workerData: { clients: 4, rounds, ioThreads },
    },
  )

const finished = await Promise.all(
  Array.from({ length: 3 }, async (_, index) => {
    const worker = begin(500, 1 + (index % 2))
    const messages: string[] = []
    worker.on('message', (message) => messages.push(message))
    const [code] = await once(worker, 'exit')
    return code === 0 && messages.at(-1) === 'done true'
  }),
)
const terminated: number[] = []
for (let round = 0; round < 6; round += 1) {
  const worker = begin(Number.MAX_SAFE_INTEGER, 1 + (round % 2))
  // The last ones are ended while they are still connecting.
  if (round < 4) await once(worker, 'message')
  else await once(worker, 'online')
  terminated.push(await worker.terminate())
}
process.stdout.write(JSON.stringify({ finished, terminated }))
