// One of several processes of a participant that is kept in PostgreSQL.
//
//   <database> <label> <key file> <port> <lifetime ms>     prints port; serves until it is ended

import { readFileSync } from 'node:fs'
import { serveParticipant } from '../../src/consent/participant/http.js'
import { participantOfStore, reloadStoredPolicy } from '../../src/consent/participant/stored.js'
import { openPostgresStore } from '../../src/consent/store/postgres/postgres.js'

/** As often as `mcbn participant serve` looks for another policy in a database. */
const LOOK_MS = 5_000

const [url = '', label = '', keyFile = '', port, lifetimeMs] = process.argv.slice(2)
const store = await openPostgresStore(url, { keyFile: readFileSync(keyFile) }, { label })
const participant = participantOfStore(store)
// All workloads of the bench have one address.
const options = { port: Number(port), requestsPerSecond: 1_000_000, connections: 4_096 }
const server = await serveParticipant(participant, options)
process.stdout.write(`port ${server.port}\n`)
let reloads = 0
setInterval(() => {
  reloadStoredPolicy(store, participant).then(
    (changed) => changed && process.stdout.write(`reloads ${++reloads}\n`),
    (error) => process.stderr.write(`${error}\n`),
  )
}, LOOK_MS)
// What counting.ts does after four minutes: the bench that started it ends it, unless that was killed.
setTimeout(() => process.exit(1), Number(lifetimeMs)).unref()
