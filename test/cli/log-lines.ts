// Reads a log as machines do, and holds each line against docs/log.schema.json.

import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect } from 'vitest'
import { repositoryRoot } from '../support/paths.js'

const schema = JSON.parse(readFileSync(join(repositoryRoot, 'docs/log.schema.json'), 'utf8'))
export const valid = new Ajv2020({ strict: false }).compile(schema)

export interface LogLine {
  readonly time: string
  readonly level: string
  readonly event: string
}

/** All lines of a log; fails the test where one is not of the schema. */
export function logLines(text: string): LogLine[] {
  return text
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => {
      const object = JSON.parse(line)
      expect(valid(object), `${line}: ${JSON.stringify(valid.errors)}`).toBe(true)
      // People look for these first.
      expect(Object.keys(object).slice(0, 3)).toEqual(['time', 'level', 'event'])
      return object
    })
}
