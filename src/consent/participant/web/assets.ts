// The page's own files, read once. They lie beside this module, in src/ and in dist/ alike: the build
// copies them. A fixed list: no path that a browser sends is ever looked up on disk.

import { readFileSync } from 'node:fs'

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
  return new Map(
    Object.entries(FILES).map(([name, type]) => [
      name,
      { type, body: readFileSync(new URL(`./page/${name}`, import.meta.url), 'utf8') },
    ]),
  )
}
