import type { AuthConfig } from './auth.ts';
import type { HttpConfig } from './http.ts';
import type { LogConfig, WorkersConfig } from './process.ts';
import type { BridgeConfig, PagesConfig, ProtocolsConfig, ValidationConfig } from './protocols.ts';
import type {
  CorsConfig,
  HealthConfig,
  MailConfig,
  NotificationsConfig,
  ProxyConfig,
  RedisConfig,
  SearchConfig,
} from './services.ts';
import type { StorageConfig } from './storage.ts';

/** Everything that an operator can set, checked and with defaults. Durations are seconds, sizes bytes. */
export interface Config {
  source: ConfigSource;
  http: HttpConfig;
  storage: StorageConfig;
  protocols: ProtocolsConfig;
  bridge: BridgeConfig;
  validation: ValidationConfig;
  pages: PagesConfig;
  auth: AuthConfig;
  notifications: NotificationsConfig;
  health: HealthConfig;
  log: LogConfig;
  workers: WorkersConfig;
  search: SearchConfig;
  /** Undefined: not used. */
  redis: RedisConfig | undefined;
  proxy: ProxyConfig | undefined;
  cors: CorsConfig | undefined;
  mail: MailConfig | undefined;
  /** URL that unexpected errors are posted to; whoever knows it may post there. */
  errorWebhook: string | undefined;
}

/** Where a configuration came from. */
export interface ConfigSource {
  kind: 'flavors' | 'distribution';
  path: string;
  /** Undefined for distribution's form, and where the whole document is the configuration. */
  flavor: string | undefined;
  /** Whether a secret stands in the file itself rather than in the environment. */
  literalSecrets: boolean;
}
