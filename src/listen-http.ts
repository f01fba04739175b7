// Listening, and the address as it came to be: a port of 0 was asked for, an IPv6 address wants brackets in a URL.

import type { AddressInfo, Server } from 'node:net'

export interface HttpAddress {
  /** `http://<host>:<port>`, as bound. */
  readonly url: string
  readonly host: string
  readonly port: number
}

/** @throws the system's error when it cannot listen. */
export async function listenAt(server: Server, host: string, port: number): Promise<HttpAddress> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject)
    server.listen(port, host, () => {
      server.removeListener('error', reject)
      resolve()
    })
  })
  return httpAddress(server.address() as AddressInfo)
}

export function httpAddress({ address, family, port }: AddressInfo): HttpAddress {
  const shown = family === 'IPv6' ? `[${address}]` : address
  return { url: `http://${shown}:${port}`, host: address, port }
}
