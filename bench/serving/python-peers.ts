/** The peers that come from Python packages: each in a virtual environment of its own with pinned packages, alone on core 0 while it is loaded. */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { mkdirSync, copyFileSync, cpSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sleep } from '@headrace/base/clock';
import { freePort } from '@headrace/engines/free-port';
import type { Rig, Server } from './rig.js';

// Node runs this file as it is, and the compiler of the repository wants other endings than Node.
const { listening, pythonEnvironment } = (await import(new URL('../kit.ts', import.meta.url).href)) as typeof import('../kit.js');
const { FEATURES } = (await import(new URL('./onnx.ts', import.meta.url).href)) as typeof import('./onnx.js');

/**
 * Stops or continues a server with all that it started: their loops wake up often when nobody asks them, and took a fifth of the core from whoever was loaded
 * (measured). What has ended is passed over. Linux.
 */
export function signalTree(pid: number, signal: 'SIGSTOP' | 'SIGCONT'): void {
  let tasks: string[];
  try {
    process.kill(pid, signal);
    tasks = readdirSync(`/proc/${pid}/task`);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === 'ESRCH' || code === 'ENOENT') return;
    throw error;
  }
  for (const task of tasks) for (const child of childrenOf(pid, task)) signalTree(child, signal);
}

function childrenOf(pid: number, task: string): number[] {
  try {
    return readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').split(' ').filter(Boolean).map(Number);
  } catch {
    return []; // the thread has ended meanwhile
  }
}

/** The version that the requirements were resolved for. */
const PYTHON = '3.11';
const PEERS = join(import.meta.dirname, 'peers');
const START_MS_MAX = 120_000;

export async function startMlserver({ work }: Rig, models: readonly string[]): Promise<Server> {
  const python = environment('mlserver');
  const folder = join(work, 'mlserver');
  const [grpcPort, httpPort] = [await freePort(), await freePort()];
  const settings = {
    debug: false,
    parallel_workers: 0,
    host: '127.0.0.1',
    grpc_port: grpcPort,
    http_port: httpPort,
    metrics_endpoint: null,
  };
  for (const name of models) {
    mkdirSync(join(folder, name), { recursive: true });
    writeFileSync(join(folder, name, 'model-settings.json'), JSON.stringify({ name, implementation: 'mlserver_onnx.OnnxModel' }));
  }
  writeFileSync(join(folder, 'settings.json'), JSON.stringify(settings));
  const child = start([python, '-c', 'from mlserver.cli import main; main()', 'start', folder], {
    PYTHONPATH: join(PEERS, 'mlserver'),
    BENCH_MODELS: work,
  });
  await answering(child, `http://127.0.0.1:${httpPort}/v2/health/ready`);
  return { child, address: `127.0.0.1:${grpcPort}` };
}

/** A server for one model: what it takes is JSON over HTTP/1.1. */
export async function startBentoml({ work }: Rig, model: string): Promise<Server> {
  const python = environment('bentoml');
  const address = `127.0.0.1:${await freePort()}`;
  const [host, port] = address.split(':');
  const serve = ['serve', 'service:Predictor', '--working-dir', join(PEERS, 'bentoml'), '--host', host!, '--port', port!];
  const child = start([python, '-m', 'bentoml', ...serve], {
    BENTOML_DO_NOT_TRACK: 'True',
    BENTOML_HOME: join(work, 'bentoml'),
    BENCH_MODEL: join(work, `${model}.onnx`),
  });
  await answering(child, `http://${address}/readyz`);
  return { child, address };
}

/** The server program inside the wheel of nvidia-pytriton, with its Python backend: the only Triton that package registries have. It needs no GPU. */
export async function startTriton({ work }: Rig, models: readonly string[]): Promise<Server> {
  const python = environment('triton');
  const packages = join(python, `../../lib/python${PYTHON}/site-packages`);
  const triton = join(packages, 'pytriton/tritonserver');
  const repository = join(work, 'triton/models');
  const backends = join(work, 'triton/backends');
  cpSync(join(triton, 'backends/python'), join(backends, 'python'), { recursive: true });
  // The wheel has the backend's program for each version of Python beside the backend.
  copyFileSync(
    join(triton, 'python_backend_stubs', PYTHON, 'triton_python_backend_stub'),
    join(backends, 'python/triton_python_backend_stub'),
  );
  for (const name of models) {
    mkdirSync(join(repository, name, '1'), { recursive: true });
    copyFileSync(join(PEERS, 'triton/model.py'), join(repository, name, '1/model.py'));
    writeFileSync(join(repository, name, 'config.pbtxt'), tritonConfig(name));
  }
  const address = `127.0.0.1:${await freePort()}`;
  const [host, port] = address.split(':');
  const flags = {
    'model-repository': repository,
    'backend-directory': backends,
    'grpc-address': host!,
    'grpc-port': port!,
    'allow-http': 'false',
    'allow-metrics': 'false',
    'log-info': 'false',
    'log-warning': 'false',
  };
  const args = Object.entries(flags).map(([name, value]) => `--${name}=${value}`);
  const child = start([join(triton, 'bin/tritonserver'), ...args], {
    LD_LIBRARY_PATH: join(packages, 'nvidia_pytriton.libs'),
    BENCH_SITE_PACKAGES: packages,
    BENCH_MODELS: work,
  });
  // Its port opens when its models are ready.
  await listening(child, address, START_MS_MAX);
  return { child, address };
}

function tritonConfig(name: string): string {
  return `name: "${name}"
backend: "python"
max_batch_size: 128
input [{ name: "features", data_type: TYPE_FP32, dims: [${FEATURES}] }]
output [{ name: "probabilities", data_type: TYPE_FP32, dims: [2] }]
instance_group [{ kind: KIND_CPU, count: 1 }]
dynamic_batching {}
`;
}

/** Made once for each content of the requirements. @returns its Python @throws Error with what is missing on this machine */
function environment(name: string): string {
  const requirements = join(PEERS, name, 'requirements.txt');
  // All packages are named there, so none is chosen here.
  return pythonEnvironment(name, requirements, findPython, ['--no-deps']);
}

/** @throws Error when none of the commands is the version that is asked for. */
function findPython(): string {
  const found = [`python${PYTHON}`, 'python3'].find((command) => {
    const { stdout } = spawnSync(command, ['-c', 'import sys; print("%d.%d" % sys.version_info[:2])'], { encoding: 'utf8' });
    return stdout?.trim() === PYTHON;
  });
  if (found === undefined) throw new Error(`needs Python ${PYTHON} on PATH`);
  return found;
}

function start(command: readonly string[], env: NodeJS.ProcessEnv): ChildProcess {
  return spawn('taskset', ['-c', '0', ...command], {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, PYTHONDONTWRITEBYTECODE: '1', OMP_NUM_THREADS: '1', ...env },
  });
}

/** Resolves when the address answers 200. */
async function answering(child: ChildProcess, url: string): Promise<void> {
  for (const until = Date.now() + START_MS_MAX; Date.now() < until; await sleep(200)) {
    if (child.exitCode !== null) throw new Error(`the server of ${url} ended with ${child.exitCode}`);
    const isReady = await fetch(url).then(
      (answer) => answer.ok,
      () => false,
    );
    if (isReady) return;
  }
  child.kill('SIGKILL');
  throw new Error(`${url} does not answer within ${START_MS_MAX / 1000} s`);
}
