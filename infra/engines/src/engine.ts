/** The three engines that Headrace stands on. They are never home-made: these are the real ones. */
export const ENGINE_NAMES = ['kafka', 'postgres', 'redis'] as const;
export type EngineName = (typeof ENGINE_NAMES)[number];

/** One step of the way to a running engine, for progress lines. `elapsedMs` counts from the call of `startEngines`. */
export interface EngineProgress {
  readonly engine: EngineName;
  readonly phase: 'installing' | 'starting' | 'reused' | 'ready' | 'stopping' | 'stopped';
  readonly text: string;
  readonly elapsedMs: number;
}

/** Tells the reader what one engine is doing; bound to the engine's name and the start of the run. */
export type Say = (phase: EngineProgress['phase'], text: string) => void;

export interface EnginePorts {
  readonly kafka: number;
  readonly kafkaController: number;
  readonly postgres: number;
  readonly redis: number;
}

/** URLs of engines that somebody else runs; a given URL wins and nothing is started for it. */
export interface EngineUrls {
  /** Comma-separated `host:port` list. */
  readonly kafka?: string;
  readonly postgres?: string;
  readonly redis?: string;
}

export interface StartEnginesOptions {
  /** Data, logs, pid files and runtime.json go to `<stateDir>/engines`. */
  readonly stateDir: string;
  /** Downloads, shared by runs; default HEADRACE_CACHE, else `<stateDir>/cache`. */
  readonly cacheDir?: string;
  /** Default: the ports of the last run in this state folder while they are free, else free ones. */
  readonly ports?: Partial<EnginePorts>;
  /** Engines that somebody else runs. They must answer; nothing is started for them. */
  readonly urls?: EngineUrls;
  /** Default: all three. */
  readonly only?: readonly EngineName[];
  /** false: quick and forgetful, for tests (no fsync, no append-only file). Default true. */
  readonly durable?: boolean;
  /** Heap of the broker; default 256. */
  readonly javaHeapMb?: number;
  readonly report?: (line: EngineProgress) => void;
}
