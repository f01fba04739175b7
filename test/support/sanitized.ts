// Loaded into every test process of `check:native suite`. Vitest ends its processes by SIGTERM, which
// would end them before LeakSanitizer has looked; leaving by exit() gives it its turn.
process.on('SIGTERM', () => process.exit(0))
