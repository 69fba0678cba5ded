// `node sink.mjs`: prints the port where it takes connections, ends each after its first chunk with a GOAWAY, and reads what still comes. What an attack on it costs an ordinary client of
// another server is what the client loses by sharing its core with the attacker's network traffic.
import { createServer } from 'node:net';

const GOAWAY = Buffer.from([0, 0, 8, 7, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 11]);
const LINGER_MS = 1_000;
const server = createServer((socket) => {
  socket.on('error', () => socket.destroy());
  socket.once('data', () => {
    socket.end(GOAWAY);
    socket.resume();
    setTimeout(() => socket.destroy(), LINGER_MS).unref();
  });
}).listen(0, '127.0.0.1', () => process.stdout.write(`${server.address().port}\n`));
