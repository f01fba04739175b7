// The page's own files, read once. They lie beside this module, in src/ and in dist/ alike: the build
// copies them. A fixed list: no path that a browser sends is ever looked up on disk.

import { readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const SCRIPT = 'text/javascript; charset=utf-8'

const FILES = {
  'index.html': 'text/html; charset=utf-8',
  'page.css': 'text/css; charset=utf-8',
  'icon.svg': 'image/svg+xml',
  'main.js': SCRIPT,
  'dom.js': SCRIPT,
  'facts.js': SCRIPT,
  'lists.js': SCRIPT,
  'dialogs.js': SCRIPT,
  'server.js': SCRIPT,
  'time.js': SCRIPT,
} as const

export interface Asset {
  readonly type: string
  readonly body: string
}

/** By file name. */
export function loadAssets(): ReadonlyMap<string, Asset> {
  // Not new URL(name, import.meta.url): webpack would take it for a request to bundle the page.
  const page = join(dirname(fileURLToPath(import.meta.url)), 'page')
  return new Map(
    Object.entries(FILES).map(([name, type]) => [
      name,
      { type, body: readFileSync(join(page, name), 'utf8') },
    ]),
  )
}
