export function compile(how?: { readonly check?: boolean }): void
export function isCurrent(): boolean
export function typescript(): string | undefined
