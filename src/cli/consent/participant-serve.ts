// Serving a participant until it is told to stop, and saying what happens.

import { Command } from 'commander'
import { serveAdmin } from '../../consent/participant/admin.js'
import {
  type Asked,
  demandNoted,
  type HeadPlace,
  type NotedHeads,
  noteHeads,
} from '../../consent/participant/heads/note.js'
import { type ParticipantServer, serveParticipant } from '../../consent/participant/http.js'
import type { Participant } from '../../consent/participant/participant.js'
import { networkOf } from '../../consent/participant/sources.js'
import {
  participantOfStore,
  type StoredParticipantOptions,
} from '../../consent/participant/stored.js'
import type { ParticipantStore } from '../../consent/store/replicas.js'
import { Store } from '../../consent/store/store.js'
import { EXIT, type Finish } from '../exit.js'
import {
  addOperationsOptions,
  type Operations,
  type OperationsFlags,
  openOperations,
} from '../operations.js'
import { onStopSignal } from '../signals.js'
import { readInput } from './files.js'
import { addLockOptions, type LockFlags } from './lock.js'
import { hostAndPort, integer } from './network-options.js'
import { addHeadOptions, type HeadFlags, headPlaces } from './participant-heads.js'
import { addNotifyOptions, type NotifyFlags, notifier } from './participant-notify.js'
import { addFolderOptions, type FolderFlags, lockOf, openKept } from './participant-options.js'
import { type Page, type PageFlags, servePage } from './participant-page.js'
import { signedImagesOf, watchPolicy } from './participant-policy.js'
import { tell } from './participant-told.js'
import { report } from './report.js'

const DEFAULT_LISTEN = '127.0.0.1:7001'
const MOST_ROOT_BYTES = 64 * 1024

interface ServeFlags
  extends FolderFlags,
    LockFlags,
    PageFlags,
    NotifyFlags,
    OperationsFlags,
    HeadFlags {
  readonly listen: string
  readonly pkiRoot?: readonly string[]
  readonly rate?: string
  readonly trustedProxy?: readonly string[]
  readonly proxyProtocol?: readonly string[]
  readonly imageSignatures?: string
}

export function serveCommand(finish: Finish): Command {
  const command = addLockOptions(addFolderOptions(new Command('serve')))
  return addHeadOptions(addOperationsOptions(addNotifyOptions(command)))
    .summary('give your share to whom your policy allows, until you stop it')
    .description(
      'Give your share to whom your policy allows, until SIGINT or SIGTERM (exit code 0).\n' +
        'A changed policy.json is put in force at once; SIGHUP reads it again and says so.\n' +
        'Messages travel unencrypted: the share in them is sealed to the workload, all of them are signed, and\n' +
        'their carrier can read and alter them and gains nothing.',
    )
    .option('--listen <host:port>', 'address to listen on; port 0 takes a free one', DEFAULT_LISTEN)
    .option(
      '--web [host:port]',
      'serve your page too, on its own address (127.0.0.1 and a free port unless given);\n' +
        'prints a link that signs in once, and a token',
    )
    .option(
      '--web-host <name...>',
      'names under which a proxy of yours serves the page; without one nothing may be forwarded to it',
    )
    .option('--web-token-file <file>', 'write the token to a file instead of printing it')
    .option('--pki-root <file...>', 'root certificate (PEM) of gcp-cs-pki evidence')
    .option(
      '--image-signatures <folder>',
      'Sigstore bundles (*.json) that approve images, as signedImages of your policy says; looked at when one\n' +
        'comes or goes, and at SIGHUP',
    )
    .option('--rate <number>', 'requests a second that one address may send', '100')
    .option(
      '--trusted-proxy <address...>',
      'addresses or networks (10.0.0.0/8) of proxies that are believed about whom they ask for\n' +
        '(Forwarded, X-Forwarded-For); else all that comes through a proxy is one source',
    )
    .option(
      '--proxy-protocol <address...>',
      'addresses or networks of proxies whose connections begin with a header of the PROXY protocol,\n' +
        'version 2, which tells for whom they connect; there it has to be',
    )
    .action(async (flags: ServeFlags) => {
      const address = hostAndPort('--listen', flags.listen)
      const trustedProxies = flags.trustedProxy ?? []
      const proxyProtocol = flags.proxyProtocol ?? []
      for (const proxy of trustedProxies) networkOf(proxy, '--trusted-proxy')
      for (const proxy of proxyProtocol) networkOf(proxy, '--proxy-protocol')
      const roots = await Promise.all(
        (flags.pkiRoot ?? []).map((file) => readInput(file, '--pki-root', MOST_ROOT_BYTES)),
      )
      const rate = integer('--rate', `${flags.rate}`)
      const store = await openKept(flags.dir, await lockOf(flags))
      try {
        const heads: Serving['heads'][number][] = []
        for (const place of await headPlaces(flags, store)) {
          heads.push({ place, asked: await demandNoted(store.audit, place) })
        }
        const attestation = roots.length === 0 ? {} : { gcpPki: { roots: roots.map(String) } }
        const signedImages = await signedImagesOf(store.policy, flags)
        const participant = participantOfStore(store, {
          attestation,
          ...(signedImages !== undefined && { signedImages }),
        })
        const serving = {
          ...flags,
          ...address,
          attestation,
          requestsPerSecond: rate,
          trustedProxies,
          proxyProtocol,
          heads,
        }
        await serve(store, participant, serving, finish)
      } catch (error) {
        await store.close()
        throw error
      }
    })
}

interface Serving extends ServeFlags {
  readonly host: string
  readonly port: number
  readonly requestsPerSecond: number
  readonly trustedProxies: readonly string[]
  readonly proxyProtocol: readonly string[]
  readonly heads: readonly { readonly place: HeadPlace; readonly asked: Asked }[]
  readonly attestation: NonNullable<StoredParticipantOptions['attestation']>
}

/** Returns once it serves; from then on the signals end it. */
async function serve(
  store: ParticipantStore,
  participant: Participant,
  flags: Serving,
  finish: Finish,
): Promise<void> {
  const { dir, json, host, port, requestsPerSecond, trustedProxies, proxyProtocol } = flags
  const opened: { close(): Promise<void> }[] = []
  const noted: NotedHeads[] = []
  const close = async (): Promise<void> => {
    for (const server of opened.toReversed()) await server.close()
  }
  const open = async <Server extends { close(): Promise<void> }>(opening: Promise<Server>) => {
    const server = await opening
    opened.push(server)
    return server
  }
  let server: ParticipantServer
  let page: Page | undefined
  let operations: Operations | undefined
  let stopping = false
  try {
    for (const { place, asked } of flags.heads) {
      noted.push(await noteHeads(store.audit, place, { asked, onError: headNotNoted(flags) }))
    }
    server = await open(
      serveParticipant(participant, {
        ...{ host, port, requestsPerSecond, trustedProxies, proxyProtocol },
      }),
    )
    const told = await notifier(participant, flags)
    if (told !== undefined) opened.push(told)
    operations = await openOperations(flags, () => (stopping ? { notReady: 'stopping' } : true))
    if (operations !== undefined) opened.push(operations)
    operations?.metrics.watchParticipant({ participant, server, notifier: told })
    if (flags.web !== undefined) page = await open(servePage(participant, store.audit, flags))
    // In a database decisions go the way of all that happens: approve and refuse write them there.
    if (store instanceof Store) await open(serveAdmin(participant, dir, server.url))
  } catch (error) {
    await close()
    for (const heads of noted) await heads.close()
    throw error
  }
  const unwatch = watchPolicy(store, participant, flags)
  // Before anything is printed: a reader of "listening" may stop it at once.
  onStopSignal(async () => {
    stopping = true
    unwatch()
    await close()
    await participant.close()
    // The line that it stopped, too.
    for (const heads of noted) await heads.close()
    await store.close()
    finish(EXIT.ok)
  })
  const { label } = participant
  tell(participant, flags)
  const metrics = operations === undefined ? {} : { metrics: operations.url }
  report(json, { event: 'listening', label, url: server.url, ...metrics, ...page?.told }, [
    `participant ${label} listening on ${server.url}`,
    ...(operations === undefined ? [] : [`metrics, health and readiness on ${operations.url}`]),
    ...(page?.lines ?? []),
    ...(participant.withdrawal === undefined
      ? []
      : [`${label} has withdrawn: nothing is released`]),
  ])
}

function headNotNoted({ json }: Serving): (error: Error) => void {
  return ({ message }) =>
    report(json, { event: 'warning', message }, [`the audit's head could not be noted: ${message}`])
}
