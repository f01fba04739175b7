// One of several processes of a participant that is kept in PostgreSQL.
//
//   <database> <label> <key file>     prints port; serves until it is ended

import { readFileSync } from 'node:fs'
import { serveParticipant } from '../../src/consent/participant/http.js'
import { participantOfStore } from '../../src/consent/participant/stored.js'
import { openPostgresStore } from '../../src/consent/store/postgres/postgres.js'
import { say } from './counting.js'

const [url = '', label = '', keyFile = ''] = process.argv.slice(2)
const store = await openPostgresStore(url, { keyFile: readFileSync(keyFile) }, { label })
const participant = participantOfStore(store)
// All workloads of the bench have one address.
const options = { requestsPerSecond: 1_000_000, connections: 4_096 }
const server = await serveParticipant(participant, options)
say('port', server.port)
