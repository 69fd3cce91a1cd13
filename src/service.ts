import type { RequestListener } from 'node:http';
import type { Logger } from '../protocols/registry.ts';
import { createAccessLog } from './access-log.ts';
import type { AcmeCertificates } from './acme/certificates.ts';
import { createHandler } from './app.ts';
import type { Config } from './config/config.ts';
import { ErrorReports } from './error-reports/error-reports.ts';
import type { ProcessLogger } from './log.ts';
import type { WorkerReport } from './metrics/worker-board.ts';
import { Observability } from './observability.ts';
import { openRegistry } from './open-registry.ts';
import { NO_PEERS, type Peers } from './peers.ts';
import { requestLog } from './request-log.ts';
import { UploadPurger } from './upload-purger.ts';

/** Everything that answers requests, behind one function. */
export interface Service {
  handler: RequestListener;
  /** What TLS shows, when that is fetched by ACME. */
  certificates: AcmeCertificates | undefined;
  reopenLogs(): void;
  /** Metrics and health of this process. */
  report(): Promise<WorkerReport>;
  /** To be called when no request runs any more. */
  close(): Promise<void>;
}

/** Opens the registry that `config` describes. Fails when its storage can't be used. */
export async function openService(
  config: Config,
  ownLog: Logger,
  peers: Peers = NO_PEERS,
): Promise<Service> {
  const reports = await ErrorReports.open(config, ownLog);
  const log = reports?.watching(ownLog) ?? ownLog;
  const accessLog = createAccessLog(config.log.access);
  const eyes = await Observability.open(config, log, peers);
  const opened = await openRegistry(config, log, eyes.driver, peers);
  const registry = { ...opened, events: await eyes.start(opened.content, opened.mirrorCounts) };
  const { v1, v2 } = config.protocols;
  const handler = createHandler(registry, {
    protocols: { v1: v1.enabled, v2: v2.enabled },
    onlookers: [...eyes.onlookers, requestLog(accessLog)],
    headers: config.http.headers,
    trustedProxies: config.http.trustedProxies,
    ...(config.cors && { cors: config.cors }),
    endpoints: [...eyes.endpoints, opened.access.middleware],
    guards: eyes.guards,
    direct: !eyes.traces,
  });
  const letsEncrypt = config.http.tls?.letsEncrypt;
  const certificates =
    letsEncrypt && (await openCertificates(letsEncrypt, opened.content.driver, log));
  const purger = new UploadPurger(opened.content, config.storage.purge, log);
  return {
    handler,
    certificates,
    reopenLogs: () => {
      accessLog.reopen();
      eyes.reopenLogs();
    },
    report: () => eyes.report(),
    close: async () => {
      purger.close();
      await certificates?.close();
      await eyes.close();
      await opened.close();
      await reports?.close();
      accessLog.flush();
    },
  };
}

/** Loaded by those who fetch certificates only, since it brings a library of its own. */
async function openCertificates(
  ...settings: Parameters<typeof AcmeCertificates.open>
): Promise<AcmeCertificates> {
  const acme = await import('./acme/certificates.ts');
  return acme.AcmeCertificates.open(...settings);
}

/** Opens all log files again; a file that can't be opened is no reason to stop serving. */
export function reopenAll(log: ProcessLogger, service: Service): void {
  try {
    log.reopen();
    service.reopenLogs();
  } catch (error) {
    log.error('log files not reopened', { error });
  }
}
