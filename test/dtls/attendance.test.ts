// While little is on its way, JavaScript's thread watches the sockets itself. Nobody may notice.
import { once } from 'node:events'
import { Worker } from 'node:worker_threads'
import { describe, expect, it, onTestFinished } from 'vitest'
import { waitFor } from '../support/wait.js'
import { dial, echo, freshKey, identity } from './support.js'

const key = freshKey()
/** Enough for JavaScript's thread to have taken over. */
const ROUNDS = 300

async function roundTrips(socket: ReturnType<typeof dial>, rounds: number): Promise<void> {
  for (let round = 0; round < rounds; round += 1) {
    socket.send(`message ${round}`)
    const [answer] = await once(socket, 'message', { signal: AbortSignal.timeout(5_000) })
    expect(answer.toString()).toBe(`message ${round}`)
  }
}

// With busyPoll that thread also looks again before it sleeps: as often as it likes, for it is worth it here.
describe.each([0, 1_000])('dtls/one message at a time, busyPoll %i', (busyPoll) => {
  it('is answered, again and again, with a pause and a burst in between', async () => {
    const { port } = await echo({ psk: { [identity]: key }, busyPoll })
    const socket = dial({ port, psk: { identity, key }, busyPoll })
    await socket.opened
    await roundTrips(socket, ROUNDS)
    await new Promise((resolve) => setTimeout(resolve, 120))
    await roundTrips(socket, ROUNDS)
    let answers = 0
    socket.on('message', () => {
      answers += 1
    })
    for (let sent = 0; sent < 500; sent += 1) socket.send('burst')
    await waitFor('the burst', () => answers === 500)
    await roundTrips(socket, ROUNDS)
  })

  it('does not make a blocked event loop a deaf server: handshakes go on', async () => {
    const script = new URL('./children/attending-server.ts', import.meta.url)
    const worker = new Worker(
      `import('tsx/esm/api').then(({ register }) => { register(); return import('${script}') })`,
      { eval: true, workerData: { key, busyPoll } },
    )
    onTestFinished(async () => void (await worker.terminate()))
    const [port] = await once(worker, 'message')
    const talking = dial({ port, psk: { identity, key }, busyPoll })
    await talking.opened
    const said: string[] = []
    worker.on('message', (word) => said.push(word))

    await roundTrips(talking, ROUNDS)
    worker.postMessage(2_000)
    await waitFor('the block', () => said.length === 1)
    const newcomers = Array.from({ length: 20 }, () =>
      dial({ port, psk: { identity, key }, busyPoll }),
    )
    await Promise.all(newcomers.map(({ opened }) => opened))
    expect(said).toEqual(['blocked'])
    talking.send('kept')
    const [kept] = await once(talking, 'message', { signal: AbortSignal.timeout(10_000) })
    expect(kept.toString()).toBe('kept')
    await roundTrips(talking, 10)
  })

  it('ends with the sockets: closing is heard at once on both sides', async () => {
    const { port, server } = await echo({ psk: { [identity]: key }, busyPoll })
    const socket = dial({ port, psk: { identity, key }, busyPoll })
    await socket.opened
    await roundTrips(socket, ROUNDS)
    await socket.close()
    await waitFor('its end on the server', () => [...server.sessions].length === 0)
    await server.close()
  })
})
