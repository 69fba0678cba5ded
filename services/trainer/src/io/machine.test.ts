import { expect, it } from 'vitest';
import { machineResources, parseGpus } from './machine.js';

it('reads what nvidia-smi prints, and nothing from what it does not', () => {
  expect(parseGpus('NVIDIA H100 80GB HBM3, 81559\nNVIDIA H100 80GB HBM3, 81559\n')).toEqual([
    { name: 'NVIDIA H100 80GB HBM3', memoryMiB: 81559 },
    { name: 'NVIDIA H100 80GB HBM3', memoryMiB: 81559 },
  ]);
  expect(parseGpus('No devices were found\n')).toEqual([]);
});

it('answers on a machine with or without a GPU', async () => {
  expect(await machineResources()).toMatchObject({
    cpus: expect.any(Number) as number,
    memoryBytes: expect.any(Number) as number,
    gpus: expect.any(Array) as unknown[],
  });
});
