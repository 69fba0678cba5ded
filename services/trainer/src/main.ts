import { runMain } from '@headrace/platform/service';
import { start } from './start.js';

runMain(() => start());
