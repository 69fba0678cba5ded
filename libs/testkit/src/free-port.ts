/** Here too, because tests look for it in the testkit. */
export { freePort, isPortFree } from '@headrace/engines/free-port';
