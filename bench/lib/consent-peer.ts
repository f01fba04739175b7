// A participant in its own process, out of a folder, with its audit on the disk or without one.
//
//   <folder> <key file> <audit: disk | none> [requests a second of one source]     prints port; serves until it is ended

import { readFileSync } from 'node:fs'
import { createVerifiers } from '../../src/consent/attestation/verifiers.js'
import { serveParticipant } from '../../src/consent/participant/http.js'
import { createParticipant } from '../../src/consent/participant/participant.js'
import { participantOfStore } from '../../src/consent/participant/stored.js'
import { openStore } from '../../src/consent/store/open.js'
import type { Store } from '../../src/consent/store/store.js'
import { say } from './counting.js'

const [dir = '', keyFile = '', audit, rate = '1000000'] = process.argv.slice(2)
const store = await openStore(dir, { keyFile: readFileSync(keyFile) })
const participant = audit === 'disk' ? participantOfStore(store) : withoutAudit(store)
// All requests come from one address: that is the point, and a flood only where a rate is given.
const server = await serveParticipant(participant, { requestsPerSecond: Number(rate) })
say('port', server.port)

function withoutAudit({ descriptor, policy, label, keys, share }: Store) {
  const own = share.call(store)
  if (!descriptor || !policy || !own)
    throw new Error('expected a folder with an epoch and a policy')
  const verifiers = createVerifiers(policy)
  return createParticipant({ descriptor, label, keys, share: own, policy, verifiers })
}
