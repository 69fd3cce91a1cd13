// Exits 0 while the registry answers on its port, over http or https; used by the Dockerfile, which has no curl.
import { get as httpGet } from 'node:http';
import { get as httpsGet } from 'node:https';

// Container links put REGISTRY_PORT=tcp://… into the environment of a service called "registry".
const port = /^\d+$/.test(process.env.REGISTRY_PORT ?? '') ? process.env.REGISTRY_PORT : '5000';

function answers(get, url) {
  return new Promise((resolve) => {
    const request = get(url, { timeout: 3000, rejectUnauthorized: false }, (response) => {
      response.resume();
      resolve(response.statusCode < 500);
    });
    request.on('timeout', () => request.destroy());
    request.on('error', () => resolve(false));
  });
}

const healthy =
  (await answers(httpGet, `http://127.0.0.1:${port}/`)) ||
  (await answers(httpsGet, `https://127.0.0.1:${port}/`));
process.exit(healthy ? 0 : 1);
