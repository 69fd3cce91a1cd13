// Exits 0 while the registry answers where its configuration says that it listens; used by the Dockerfile, which has no
// curl. It reads the configuration that the environment names, as the server does, or the one given as argument.
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { loadConfig } from '../dist/src/config/load.js';

const EVERYWHERE = { '': '127.0.0.1', '0.0.0.0': '127.0.0.1', '::': '::1' };

function answers({ listen, tls }) {
  const at =
    listen.kind === 'unix'
      ? { socketPath: listen.path }
      : { host: EVERYWHERE[listen.host] ?? listen.host, port: listen.port };
  const request = tls === undefined ? httpRequest : httpsRequest;
  const options = { ...at, path: '/livez', timeout: 5000, rejectUnauthorized: false };
  return new Promise((resolve, reject) => {
    const asked = request(options, (response) => {
      response.resume();
      if (response.statusCode < 500) resolve();
      else reject(new Error(`the registry answers ${response.statusCode}`));
    });
    asked.on('timeout', () => asked.destroy(new Error('no answer within 5 s')));
    // Who asks this client for a certificate is there.
    asked.on('error', (error) => (/^ERR_SSL_/.test(error.code) ? resolve() : reject(error)));
    asked.end();
  });
}

try {
  await answers(loadConfig(process.argv[2], process.env, 'offline').config.http);
} catch (error) {
  console.error(error.message);
  process.exitCode = 1;
}
