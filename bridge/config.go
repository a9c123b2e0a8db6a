package bridge

import (
	"log/slog"
	"time"

	"bintubridge/bridge/decide"
	"bintubridge/bridge/spool"
	"bintubridge/bridge/webhook"
	"bintubridge/subjects"
	"bintubridge/subjects/natsenv"
	"bintubridge/subjects/provision"
)

// Config is what the environment says. A field's tags are its variable, its
// default and its meaning, as bridge -h prints them. Variables tagged secret may
// also be given as <NAME>_FILE, the path of a file that holds the value.
type Config struct {
	NATSURL string `env:"NATS_URL" secret:"true" doc:"outside NATS servers, comma-separated; empty starts the embedded one"`
	NATS    natsenv.Auth

	Name      string     `env:"BRIDGE_NAME" doc:"this bridge's name in events and status (default: the host name)"`
	DataDir   string     `env:"BRIDGE_DATA_DIR" envDefault:"./bridge-data" doc:"spool, rule snapshot and embedded NATS; one bridge a folder"`
	LogLevel  slog.Level `env:"BRIDGE_LOG_LEVEL" envDefault:"info" doc:"debug, info, warn or error"`
	LogFormat LogFormat  `env:"BRIDGE_LOG_FORMAT" envDefault:"text" doc:"text or json"`

	Listen         string          `env:"BRIDGE_LISTEN" envDefault:"127.0.0.1:8080" doc:"where bintu's webhooks come in"`
	HookPath       string          `env:"BRIDGE_HOOK_PATH" envDefault:"/hook" doc:"path of the webhook; with secrets it is <path>/<secret>"`
	HookSecrets    []string        `env:"BRIDGE_HOOK_SECRETS" secret:"true" doc:"valid secrets, comma-separated so that one can be rotated; letters, digits and .~_-"`
	AllowFrom      Networks        `env:"BRIDGE_ALLOW_FROM" doc:"addresses and CIDRs that may call; empty allows all"`
	TrustedProxies Networks        `env:"BRIDGE_TRUSTED_PROXIES" doc:"addresses and CIDRs of proxies whose X-Forwarded-For counts"`
	MaxConns       int             `env:"BRIDGE_MAX_CONNS" envDefault:"4096" doc:"open connections of callers; each is an open file"`
	MaxPerAddr     int             `env:"BRIDGE_MAX_CONNS_PER_ADDR" envDefault:"1024" doc:"open connections (of BRIDGE_MAX_CONNS) that one address, or IPv6 /64, may have; those in BRIDGE_ALLOW_FROM and BRIDGE_TRUSTED_PROXIES are not limited"`
	Open           bool            `env:"BRIDGE_OPEN" envDefault:"false" doc:"true lets listeners beyond loopback start without secret, allow list or credentials"`
	TLSCert        string          `env:"BRIDGE_TLS_CERT" doc:"certificate file for BRIDGE_LISTEN, with BRIDGE_TLS_KEY; reloaded on change"`
	TLSKey         string          `env:"BRIDGE_TLS_KEY" doc:"key file for BRIDGE_TLS_CERT"`
	MaxBody        Size            `env:"BRIDGE_MAX_BODY" envDefault:"64KiB" doc:"largest webhook body; a larger one gets 413"`
	Dialect        webhook.Dialect `env:"BRIDGE_DIALECT" envDefault:"bintu" doc:"field order of the sender: bintu (custom fields first) or nginx-rtmp (custom fields last)"`

	DefaultPublish decide.Effect `env:"BRIDGE_DEFAULT_PUBLISH" envDefault:"deny" doc:"answer to a publish that no rule matches: allow or deny"`
	DefaultPlay    decide.Effect `env:"BRIDGE_DEFAULT_PLAY" envDefault:"deny" doc:"answer to a play that no rule matches: allow or deny"`
	RulesBucket    string        `env:"BRIDGE_RULES_BUCKET" envDefault:"rules" doc:"NATS KV bucket with the rule documents"`
	StaleAfter     time.Duration `env:"BRIDGE_RULES_STALE_AFTER" envDefault:"0s" doc:"rules not confirmed for this long are stale; 0 is never"`
	KeysFile       string        `env:"BRIDGE_KEYS_FILE" doc:"JSON file of the keys that the rules' tokens are checked with, as {\"k1\":{\"secret\":\"<base64>\"},\"k2\":{\"public\":\"<PEM>\"}}; reloaded on change"`
	Stale          StalePolicy   `env:"BRIDGE_RULES_STALE" envDefault:"keep" doc:"what stale rules do: keep deciding, or deny publish and play"`

	Subject   subjects.Template `env:"BRIDGE_SUBJECT" envDefault:"stream.{call}" doc:"subject of events; {name} and {app} may be used"`
	Redact    []string          `env:"BRIDGE_REDACT" envDefault:"token,key,password,secret,jwt,sig,signature,streamkey" doc:"custom fields whose values leave only as a hash"`
	Provision provision.Mode    `env:"BRIDGE_PROVISION" envDefault:"auto" doc:"streams and buckets: auto creates what is missing, check only reports, off does neither"`

	SpoolSync         spool.SyncMode `env:"BRIDGE_SPOOL_SYNC" envDefault:"interval" doc:"when events are forced to disk: interval, always (before the answer) or off"`
	SpoolSyncInterval time.Duration  `env:"BRIDGE_SPOOL_SYNC_INTERVAL" envDefault:"50ms" doc:"with interval: what a power cut may take"`
	SpoolMaxBytes     Size           `env:"BRIDGE_SPOOL_MAX_BYTES" envDefault:"1GiB" doc:"disk for events that JetStream has not acked yet"`
	SpoolFull         FullPolicy     `env:"BRIDGE_SPOOL_FULL" envDefault:"answer" doc:"when the spool takes no more: answer (the event is lost and counted) or reject (503)"`

	EmbeddedListen string `env:"BRIDGE_EMBEDDED_LISTEN" envDefault:"127.0.0.1:4222" doc:"where the embedded NATS server takes other clients; it asks them for NATS_TOKEN, or NATS_USER and NATS_PASSWORD"`
	AdminListen    string `env:"BRIDGE_ADMIN_LISTEN" envDefault:"127.0.0.1:8081" doc:"health, metrics and the operator's page"`
	AdminToken     string `env:"BRIDGE_ADMIN_TOKEN" secret:"true" doc:"token for the admin listener, as a bearer or typed into the page's form; without one it can be used on loopback alone; /livez, /readyz and /metrics need none"`
}
