// What a listener does with its connections: echo, answer HTTP, or talk through stdin and stdout.

import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { DtlsSocket } from '../dtls/index.js'
import type { TlsSocket } from '../tls/index.js'
import type { Diagnostics } from './diagnostics.js'
import { DtlsLink } from './dtls-link.js'
import type { Link } from './link.js'
import { Output } from './output.js'
import { StdinFeed } from './stdin-feed.js'
import { TlsLink } from './tls-link.js'

/** A service gets sockets that are open, have an error listener and were not yet read from. */
export interface Service {
  stream(socket: TlsSocket): void
  datagrams(socket: DtlsSocket): void
}

/** The options by which a listener is told what to do. */
export interface ServiceFlags {
  readonly echo?: boolean
  readonly http?: boolean
}

/** @param datagrams - whether stdin is read by lines, see {@link serveStdio}. */
export function serviceFor(
  flags: ServiceFlags,
  datagrams: boolean,
  diagnostics: Diagnostics,
  onStdoutGone: () => void,
): Service {
  if (flags.http === true) return serveHttp(diagnostics)
  if (flags.echo === true) return serveEcho(diagnostics)
  return serveStdio(datagrams, diagnostics, onStdoutGone)
}

/** Everything comes back: a stream no faster than the peer reads, datagrams as far as they fit. */
function serveEcho(diagnostics: Diagnostics): Service {
  return {
    stream(socket) {
      socket.pipe(socket)
    },
    datagrams(socket) {
      socket.on('messages', (messages: readonly Buffer[]) => {
        const limit = socket.maxDatagramSize
        const fitting = messages.filter(({ length }) => length >= 1 && length <= limit)
        try {
          // What is not taken is lost, as datagrams are when a path is full: nothing is queued here.
          socket.sendMany(fitting)
        } catch (error) {
          diagnostics.peerFailed(error, socket.remoteAddress ?? 'peer')
        }
      })
    },
  }
}

/** How long an HTTP connection may idle, in milliseconds. */
const HTTP_IDLE_MS = 60_000

/** `GET /` is answered with 200 and "ok"; the rest with what HTTP has for it (RFC 9110). */
function serveHttp(diagnostics: Diagnostics): Service {
  const server = createServer(answer)
  // The server never listens itself, so of its time limits only this one works.
  server.timeout = HTTP_IDLE_MS
  return {
    stream(socket) {
      server.emit('connection', socket)
    },
    datagrams(socket) {
      diagnostics.warning('HTTP needs a stream')
      void socket.close()
    },
  }
}

function answer(request: IncomingMessage, response: ServerResponse): void {
  const path = (request.url ?? '').split('?', 1)[0]
  const { method } = request
  if (path !== '/') {
    reply(response, 404, 'not found\n')
  } else if (method === 'GET' || method === 'HEAD') {
    reply(response, 200, 'ok\n')
  } else {
    response.setHeader('allow', 'GET, HEAD')
    reply(response, 405, 'method not allowed\n')
  }
}

function reply(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, {
    'content-type': 'text/plain; charset=utf-8',
    'content-length': Buffer.byteLength(body),
  })
  // node:http leaves the body out where the method is HEAD.
  response.end(body)
}

/**
 * The peers' data to stdout, stdin to the peer that connected last and is still there.
 *
 * @param lines - each line of stdin is one datagram.
 * @param onStdoutGone - called when nobody reads stdout any more.
 */
function serveStdio(lines: boolean, diagnostics: Diagnostics, onStdoutGone: () => void): Service {
  const links = new Set<Link>()
  const output = new Output(onStdoutGone)
  const feed = new StdinFeed(lines, {
    // A listener does not end with its stdin: peers may still have something to say.
    ended: () => undefined,
    failed: (error) => diagnostics.failure(error),
  })

  const add = (link: Link): void => {
    links.add(link)
    link.start({
      data: (bytes) => {
        if (lines) output.writeDatagram(bytes)
        else if (!output.write(bytes)) holdUntilDrained()
      },
      flushed: () => feed.flushed(link),
      closed: () => {
        links.delete(link)
        feed.to([...links].at(-1))
      },
    })
    feed.to(link)
  }
  // All of them share one stdout: none may fill it while another waits.
  let holding = false
  const holdUntilDrained = (): void => {
    for (const link of links) link.pause()
    if (holding) return
    holding = true
    output.onceDrained(() => {
      holding = false
      for (const link of links) link.resume()
    })
  }
  return {
    stream: (socket) => add(new TlsLink(socket)),
    datagrams: (socket) => add(new DtlsLink(socket)),
  }
}
