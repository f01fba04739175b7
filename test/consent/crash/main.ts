// npm run crash -- --kills 300 --seed 1 [--store postgres] [--only move]: the matrix of crashes, as long as somebody wants to wait.

import { parseArgs } from 'node:util'
import { runMatrix } from './matrix.js'

const { values } = parseArgs({
  options: {
    kills: { type: 'string', default: '300' },
    seed: { type: 'string', default: `${Date.now() % 1_000_000}` },
    store: { type: 'string', default: 'folder' },
    only: { type: 'string' },
  },
})
const [kills, seed] = [Number(values.kills), Number(values.seed)]
const { store, only } = values
if (store !== 'folder' && store !== 'postgres') throw new Error('--store: folder or postgres')
const began = performance.now()
const result = await runMatrix({
  ...{ kills, seed, store, onKill: (told: string) => console.error(told) },
  ...(only !== undefined && { only }),
})
const seconds = Math.round((performance.now() - began) / 1000)
console.log(JSON.stringify({ store, seed, seconds, ...result }, undefined, 2))
if (result.faults.length > 0) process.exitCode = 1
