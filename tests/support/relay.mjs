// An HTTP relay before a server: passes requests on as they are, Host header and all, and lets a test spoil some of them.
import { afterwards } from './host.mjs';
import http from 'node:http';

/**
 * spoil(seen, request, response): called before a request is passed on; seen: {method, url, number}. Returns one of
 *   undefined     pass it on
 *   'answered'    the function has answered, or will
 *   {cutAfter: n} break the connection once n bytes of the body have come
 *   'no answer'   pass it on, and break the connection instead of answering
 *   {then: f}     the same, and call f once the server has answered
 *   'stall'       read no more, and never answer
 */
export async function startRelay(t, target, spoil = () => undefined) {
  const { hostname, port } = new URL(target);
  const seen = [];
  const agent = new http.Agent({ keepAlive: true });
  const server = http.createServer((request, response) => {
    const entry = { method: request.method, url: request.url, number: seen.length, at: Date.now() };
    seen.push(entry);
    const what = spoil(entry, request, response);
    if (what === 'answered') return;
    if (what === 'stall') return void request.pause();
    if (what?.cutAfter !== undefined) {
      let bytes = 0;
      request.on('data', chunk => { if ((bytes += chunk.length) >= what.cutAfter) request.socket.destroy(); });
      request.on('error', () => {});
      return;
    }
    const upstream = http.request({ agent, hostname, port, method: request.method, path: request.url, headers: request.headers });
    upstream.on('response', answer => {
      entry.status = answer.statusCode;
      if (what === 'no answer' || what?.then) {
        answer.resume();
        answer.on('end', () => { what.then?.(); request.socket.destroy(); });
        return;
      }
      response.writeHead(answer.statusCode, answer.rawHeaders);
      answer.pipe(response);
      answer.on('error', () => response.destroy());
    });
    upstream.on('error', () => response.destroy());
    request.on('error', () => upstream.destroy());
    request.pipe(upstream);
  });
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  afterwards(t, () => new Promise(done => { agent.destroy(); server.close(done); server.closeAllConnections(); }));
  return { endpoint: `http://127.0.0.1:${server.address().port}`, seen };
}
