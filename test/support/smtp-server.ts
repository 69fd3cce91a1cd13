import type { AddressInfo } from 'node:net';
import { createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, TLSSocket } from 'node:tls';

export interface ReceivedMail {
  from: string;
  to: string[];
  /** What the client logged in with, `\0user\0password`; undefined where it did not. */
  login: string | undefined;
  /** Headers and text. */
  content: string;
  /** Whether it came over TLS. */
  secret: boolean;
}

/** Key and certificate, PEM; with `implicit` TLS is spoken from the first byte, else after STARTTLS. */
export interface SmtpTls {
  key: Buffer;
  cert: Buffer;
  implicit?: boolean;
}

/** A mail server on a real socket, as small as it can be (RFC 5321). */
export class SmtpServer {
  readonly mails: ReceivedMail[] = [];
  /** Takes connections and says nothing. */
  mute = false;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(tls: SmtpTls | undefined) {
    this.#server = createServer((socket) => {
      this.#sockets.add(socket);
      socket.on('error', () => undefined).on('close', () => this.#sockets.delete(socket));
      if (this.mute) return;
      if (tls?.implicit) this.#talk(secured(socket, tls), undefined, true);
      else this.#talk(socket, tls, true);
    });
  }

  static async start(tls?: SmtpTls, port = 0): Promise<SmtpServer> {
    const server = new SmtpServer(tls);
    await new Promise<void>((resolve) => server.#server.listen(port, '127.0.0.1', resolve));
    return server;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  async stop(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #talk(socket: Socket, tls: SmtpTls | undefined, greets: boolean): void {
    const secret = socket instanceof TLSSocket;
    let mail: ReceivedMail = { from: '', to: [], login: undefined, content: '', secret };
    let data = false;
    let pending = '';
    const say = (line: string) => socket.write(`${line}\r\n`);
    const take = (line: string) => {
      if (data) {
        if (line !== '.') mail.content += `${line}\n`;
        else {
          data = false;
          this.mails.push(mail);
          mail = { ...mail, to: [], content: '' };
          say('250 taken');
        }
        return;
      }
      const [, command = '', rest = ''] = /^(\S+)\s*(.*)$/.exec(line) ?? [];
      if (/^ehlo$/i.test(command)) {
        socket.write(`250-test\r\n${tls ? '250-STARTTLS\r\n' : ''}250 AUTH PLAIN\r\n`);
      } else if (/^starttls$/i.test(command) && tls) {
        socket.removeAllListeners('data');
        say('220 go on');
        this.#talk(secured(socket, tls), undefined, false);
      } else if (/^auth$/i.test(command)) {
        mail.login = Buffer.from(rest.replace(/^plain /i, ''), 'base64').toString();
        say('235 welcome');
      } else if (/^mail$/i.test(command)) {
        mail.from = rest.replace(/^from:<(.*?)>.*/i, '$1');
        say('250 ok');
      } else if (/^rcpt$/i.test(command)) {
        mail.to.push(rest.replace(/^to:<(.*?)>.*/i, '$1'));
        say('250 ok');
      } else if (/^data$/i.test(command)) {
        data = true;
        say('354 go on');
      } else if (/^quit$/i.test(command)) socket.end('221 bye\r\n');
      else say('502 not here');
    };
    socket.on('data', (chunk: Buffer) => {
      pending += chunk.toString();
      for (let end = pending.indexOf('\r\n'); end >= 0; end = pending.indexOf('\r\n')) {
        const line = pending.slice(0, end);
        pending = pending.slice(end + 2);
        take(line);
      }
    });
    if (greets) say('220 test');
  }
}

function secured(socket: Socket, { key, cert }: SmtpTls): TLSSocket {
  const secure = new TLSSocket(socket, {
    isServer: true,
    secureContext: createSecureContext({ key, cert }),
  });
  return secure.on('error', () => undefined);
}
