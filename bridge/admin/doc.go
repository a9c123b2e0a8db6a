// Package admin is the operator's private listener: is the bridge alive, is it
// ready, what has it counted, what state is it in.
//
//	/livez            200 while the process runs
//	/readyz           200 or 503; ?verbose lists the checks
//	/metrics          Prometheus
//	/status           JSON
//	/events           a sample of the events, as server-sent events
//
// The first three are open to whoever reaches the listener, because probes and
// scrapers have no secrets; they name no stream, address or client. Everything
// else is for callers on the same host or with the token.
//
// The package knows nothing of the bridge: Config takes functions. It counts
// nothing on the request path either, except through Histogram and Feed, which are
// made for it: they neither allocate nor wait.
package admin
