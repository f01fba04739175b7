// A worker thread that connects, sends one line and posts what came back.

import { parentPort, workerData } from 'node:worker_threads'
import { connect } from '../../src/tls/index.js'
import { readAll } from './streams.js'

const { host, port, identity, key } = workerData
const socket = connect({ host, port, psk: { identity, key } })
socket.end('from a worker')
parentPort?.postMessage((await readAll(socket)).toString())
