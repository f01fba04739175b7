// The page of a participant that serves, on its own address.

import type { Participant } from '../../consent/participant/participant.js'
import {
  type AuditForPage,
  createParticipantWeb,
  participantView,
  serveParticipantWeb,
} from '../../consent/participant/web/index.js'
import { writeSecretFile } from '../secret-file.js'
import { hostAndPort } from './network-options.js'

export interface PageFlags {
  /** An address, or `true` for the default one. */
  readonly web?: string | true
  readonly webHost?: readonly string[]
  readonly webTokenFile?: string
}

export interface Page {
  /** For machines. */
  readonly told: Readonly<Record<string, string>>
  /** For people. */
  readonly lines: readonly string[]
  close(): Promise<void>
}

/** @throws {UsageError} for an invalid address; the system's error when it cannot listen. */
export async function servePage(
  participant: Participant,
  audit: AuditForPage,
  { web: address, webHost = [], webTokenFile }: PageFlags,
): Promise<Page> {
  const wanted = typeof address === 'string' ? hostAndPort('--web', address) : {}
  const web = createParticipantWeb(participantView(participant, audit), { hosts: webHost })
  const server = await serveParticipantWeb(web, wanted)
  const close = async (): Promise<void> => {
    web.close()
    await server.close()
  }
  if (webTokenFile === undefined) {
    const link = web.link(server.url)
    const lines = [`page: ${link}`, `sign-in token, for when that link has been used: ${web.token}`]
    return { told: { page: link, token: web.token }, lines, close }
  }
  try {
    await writeSecretFile(webTokenFile, `${web.token}\n`)
  } catch (error) {
    await close()
    throw error
  }
  const page = new URL('/', server.url).href
  return {
    told: { page, tokenFile: webTokenFile },
    lines: [`page: ${page}`, `sign-in token: in ${webTokenFile}`],
    close,
  }
}
