export function copyPage(source: string, target: string): void
