import type { Socket } from 'node:net';
import { createSecureContext, createServer, type Server } from 'node:tls';
import type { AcmeCertificates } from './certificates.ts';
import { firstRecordLength, offeredProtocols } from './client-hello.ts';

const PROTOCOL = 'acme-tls/1';
const HANDSHAKE = 22;
const FIRST_RECORD_MS = 30_000;

/** Answers tls-alpn-01 challenges (RFC 8737) on the port of the registry, whichever process is asked. */
export class ChallengeResponder {
  readonly #server: Server;
  readonly #waiting = new Set<Socket>();

  constructor(certificates: Pick<AcmeCertificates, 'challengeFor'>) {
    this.#server = createServer(
      {
        ALPNProtocols: [PROTOCOL],
        handshakeTimeout: FIRST_RECORD_MS,
        SNICallback: (host, done) => {
          certificates.challengeFor(host).then(
            // Without one the handshake fails, which is all that there is to say.
            (pem) =>
              done(
                null,
                pem === undefined ? undefined : createSecureContext({ cert: pem, key: pem }),
              ),
            (error: Error) => done(error),
          );
        },
      },
      (socket) => socket.end(),
    );
    this.#server.on('tlsClientError', (_error, socket) => socket.destroy());
  }

  /** Looks at the first bytes that the client sends: a challenge is answered here, `serve` gets all else. */
  accept(socket: Socket, serve: (socket: Socket) => void): void {
    let bytes = Buffer.alloc(0);
    const timer = setTimeout(() => socket.destroy(), FIRST_RECORD_MS);
    const leave = () => {
      clearTimeout(timer);
      this.#waiting.delete(socket);
      socket.off('readable', look).off('close', leave).off('error', ignore);
    };
    const look = () => {
      for (let chunk: Buffer | null = socket.read(); chunk !== null; chunk = socket.read())
        bytes = Buffer.concat([bytes, chunk]);
      if (bytes.length === 0) return;
      const whole = bytes[0] === HANDSHAKE ? firstRecordLength(bytes) : 0;
      if (whole === undefined || bytes.length < whole) return;
      leave();
      socket.unshift(bytes);
      if (offeredProtocols(bytes).includes(PROTOCOL)) this.#server.emit('connection', socket);
      else serve(socket);
    };
    this.#waiting.add(socket);
    socket.on('readable', look).on('close', leave).on('error', ignore);
  }

  /** Cuts the connections that have sent nothing yet. */
  close(): void {
    for (const socket of this.#waiting) socket.destroy();
  }
}

/** A connection that breaks also closes. */
function ignore(): void {}
