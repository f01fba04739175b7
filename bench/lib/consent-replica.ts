// One of several processes of a participant that is kept in PostgreSQL.
//
//   <database> <label> <key file>     prints port; serves until it is ended

import { readFileSync } from 'node:fs'
import { serveParticipant } from '../../src/consent/participant/http.js'
import { participantOfStore } from '../../src/consent/participant/stored.js'
import { openPostgresStore } from '../../src/consent/store/postgres/postgres.js'

const [url = '', label = '', keyFile = ''] = process.argv.slice(2)
const store = await openPostgresStore(url, { keyFile: readFileSync(keyFile) }, { label })
const participant = participantOfStore(store)
// All workloads of the bench have one address.
const options = { requestsPerSecond: 1_000_000, connections: 4_096 }
const server = await serveParticipant(participant, options)
process.stdout.write(`port ${server.port}\n`)
// What counting.ts does after four minutes: the bench that started it ends it, unless that was killed.
setTimeout(() => process.exit(1), 900_000).unref()
