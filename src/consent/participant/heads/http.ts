// Heads at an HTTP address: POST adds a line, GET gives the last lines. The server is believed about what
// was noted last, and nothing else.

import { McbnError } from '../../../errors.js'
import { askAddress, headAddress } from './address.js'
import { headsIn } from './file.js'
import { type HeadPlace, headText, latest } from './note.js'

/** Most bytes of an answer: as many lines as there are in months, and the last of them are enough. */
const MOST_BYTES = 4 * 1024 * 1024

export interface HttpHeadsOptions {
  /** `https://...`; `http://` on this machine only. */
  readonly url: string
  /** Sent as `Authorization: Bearer`. @defaultValue none */
  readonly token?: string
}

/**
 * Notes heads by HTTP. `GET`: 200 and lines `<lines>:<hash>` as text, in any order, or 404 while there are none.
 * `POST` with one such line: 2xx once it is kept.
 *
 * @throws {McbnError} `MCBN_OPTION_RANGE` for another address; its methods: `MCBN_CONNECTION_FAILED`.
 */
export function httpHeads({ url: text, token }: HttpHeadsOptions): HeadPlace {
  const url = headAddress(text, '--audit-heads')
  const headers = {
    'content-type': 'text/plain',
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
  }
  const failed = (expected: string, status: number) =>
    new McbnError('MCBN_CONNECTION_FAILED', `${url.origin}: expected ${expected}, got ${status}`)
  return {
    name: `${url.origin}${url.pathname}`,
    last: async () => {
      const answer = await askAddress(url, { headers, mostBytes: MOST_BYTES })
      if (answer.status === 404) return undefined
      if (answer.status !== 200) throw failed('200 and noted heads, or 404', answer.status)
      return latest(headsIn(answer.text, url.origin))
    },
    note: async (head) => {
      const body = `${headText(head)}\n`
      const asked = { method: 'POST', body, headers, mostBytes: 64 * 1024 } as const
      const { status } = await askAddress(url, asked)
      if (status < 200 || status > 299) throw failed('a head to be taken, by 2xx', status)
    },
  }
}
