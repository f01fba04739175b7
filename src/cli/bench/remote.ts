// The measurements against a server that somebody runs: this process is its client.

import { connect, type DtlsConnectOptions } from '../../dtls/index.js'
import { BUFFER_BYTES, dtlsChannel } from './channel.js'
import { type Figure, type Name, type OnTurn, type Settings, sized } from './measurements.js'
import { BenchFailed } from './peer.js'
import { handshakes } from './sessions.js'
import { ECHOES_UNDER_WAY, echoes, NoEcho, roundTrips } from './traffic.js'

/** What needs nothing of the server but to send back what it gets. */
export const REMOTE_NAMES = ['round-trip', 'echo', 'handshakes'] as const satisfies readonly Name[]
export type RemoteName = (typeof REMOTE_NAMES)[number]

export async function measureRemote(
  name: RemoteName,
  settings: Settings,
  server: DtlsConnectOptions & { readonly url: string },
  onTurn: OnTurn,
): Promise<Figure> {
  const { seconds, size, ciphers } = settings
  const { url, ...target } = server
  const options = {
    recvBufferSize: BUFFER_BYTES,
    ...target,
    ...(ciphers !== undefined && { ciphers }),
  }
  onTurn(`${name} with ${url}`)
  if (name === 'handshakes') {
    // One at a time: the server may have others to serve.
    const { perSecond, median } = await handshakes(options, 1, seconds * 1_000)
    return {
      name,
      title: 'full handshakes, one after the other, median',
      unit: 'us',
      better: 'lower',
      mcbn: median,
      more: { perSecond },
    }
  }
  const socket = await connect(options).opened
  try {
    const channel = dtlsChannel(socket)
    const cipher = channel.cipher === undefined ? {} : { cipher: channel.cipher }
    if (name === 'echo') {
      const { perSecond, lost } = await echoes(channel, size, seconds * 1_000)
      return {
        name,
        title: `one session, ${sized(size)} there and back, ${ECHOES_UNDER_WAY} under way`,
        unit: '/s',
        better: 'higher',
        mcbn: perSecond,
        more: { lost },
        ...cipher,
      }
    }
    const { median, p99 } = await roundTrips(channel, size, seconds * 1_000)
    return {
      name,
      title: `${sized(size)} there and back, one at a time, median`,
      unit: 'us',
      better: 'lower',
      mcbn: median,
      more: { p99 },
      ...cipher,
    }
  } catch (error) {
    if (!(error instanceof NoEcho)) throw error
    throw new BenchFailed(
      `${url}: expected every message back, got none; serve with mcbn listen --echo, or measure handshakes`,
    )
  } finally {
    await socket.close()
  }
}
